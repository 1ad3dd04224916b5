package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/datastore/dshelp"
	"github.com/ipfs/go-cid"
	flatfs "github.com/ipfs/go-ds-flatfs"
	"go.uber.org/zap"
)

// served is what peers get from this store over a stream of blocks: the files as
// they lie on the disk. The peer that receives a block hashes it, so it is not
// hashed here a second time, and is never in memory as a whole.
type served struct{ store *Store }

// shard is the folder that a block lies in; see openBlocks.
var shard = flatfs.NextToLast(2).Func()

func (s served) Open(c cid.Cid) (*os.File, error) {
	key := dshelp.MultihashToDsKey(c.Hash()).String()[1:] // base32: nothing in it leads elsewhere
	f, err := os.OpenFile(filepath.Join(s.store.repo.dir, blocksDir, shard(key), key+".data"), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENAMETOOLONG) { // a hash that no stored block has
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return f, err
}

// Suspect looks at a block that a peer found damaged, and drops it if it is.
func (s served) Suspect(ctx context.Context, c cid.Cid) {
	if _, err := s.store.kubo.blocks.Get(ctx, c); errors.Is(err, blockstore.ErrHashMismatch) {
		s.store.dropDamaged(ctx, c)
	}
}

// dropDamaged removes a block whose bytes are not those that its CID names, so
// that it can be fetched again and is given to nobody.
func (s *Store) dropDamaged(ctx context.Context, c cid.Cid) {
	s.log.Warn("a block on this disk is damaged and was dropped; check the disk", zap.Stringer("cid", c))
	if err := s.remove(ctx, c); err != nil {
		s.log.Error("a damaged block could not be removed", zap.Stringer("cid", c), zap.Error(err))
	}
}
