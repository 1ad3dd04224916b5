package storage

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/datastore/dshelp"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"go.uber.org/zap"
)

// damage is a blockstore for which a block whose content is not what its hash
// says is not there, so that whoever needs it fetches it again. The file stays
// until a good block takes its place: it may be the last trace of it.
type damage struct {
	blockstore.GCBlockstore
	dir string // of the blocks
	log *zap.Logger

	mu  sync.Mutex
	bad map[string]struct{} // by multihash: those that were found; what is in here is not served
}

func newDamage(b blockstore.GCBlockstore, dir string, log *zap.Logger) *damage {
	return &damage{GCBlockstore: b, dir: dir, log: log, bad: map[string]struct{}{}}
}

func (d *damage) is(c cid.Cid) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, bad := d.bad[string(c.Hash())]
	return bad
}

// note takes a block for damaged, and says so once.
func (d *damage) note(c cid.Cid) {
	d.mu.Lock()
	_, known := d.bad[string(c.Hash())]
	d.bad[string(c.Hash())] = struct{}{}
	d.mu.Unlock()
	if !known {
		d.log.Warn("a block is damaged on this disk and will be fetched again when it is needed; check the disk",
			zap.Stringer("cid", c), zap.String("file", d.file(c)))
	}
}

// file is where a block lies.
func (d *damage) file(c cid.Cid) string {
	name := dshelp.MultihashToDsKey(c.Hash()).String()[1:]
	return filepath.Join(d.dir, shards.Func()(name), name+blockSuffix)
}

// explain names the file of a damaged block in err, which says that the block is
// not there.
func (d *damage) explain(c cid.Cid, err error) error {
	if d.is(c) {
		return fmt.Errorf("block %s is damaged on this disk (file %s): %w", c, d.file(c), err)
	}
	return err
}

func (d *damage) Get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	if d.is(c) {
		return nil, ipld.ErrNotFound{Cid: c}
	}
	b, err := d.GCBlockstore.Get(ctx, c)
	if errors.Is(err, blockstore.ErrHashMismatch) {
		d.note(c)
		return nil, ipld.ErrNotFound{Cid: c}
	}
	return b, err
}

func (d *damage) Has(ctx context.Context, c cid.Cid) (bool, error) {
	if d.is(c) {
		return false, nil
	}
	return d.GCBlockstore.Has(ctx, c)
}

func (d *damage) GetSize(ctx context.Context, c cid.Cid) (int, error) {
	if d.is(c) {
		return -1, ipld.ErrNotFound{Cid: c}
	}
	return d.GCBlockstore.GetSize(ctx, c)
}

func (d *damage) Put(ctx context.Context, b blocks.Block) error {
	if err := d.clear(ctx, b.Cid()); err != nil {
		return err
	}
	return d.GCBlockstore.Put(ctx, b)
}

func (d *damage) PutMany(ctx context.Context, all []blocks.Block) error {
	for _, b := range all {
		if err := d.clear(ctx, b.Cid()); err != nil {
			return err
		}
	}
	return d.GCBlockstore.PutMany(ctx, all)
}

func (d *damage) DeleteBlock(ctx context.Context, c cid.Cid) error {
	err := d.GCBlockstore.DeleteBlock(ctx, c)
	if err == nil {
		d.forget(c)
	}
	return err
}

// clear removes a damaged block for a good one, which is at hand.
func (d *damage) clear(ctx context.Context, c cid.Cid) error {
	if !d.is(c) {
		return nil
	}
	if err := d.DeleteBlock(ctx, c); err != nil {
		return err
	}
	d.log.Info("a damaged block is replaced", zap.Stringer("cid", c))
	return nil
}

func (d *damage) forget(c cid.Cid) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.bad, string(c.Hash()))
}
