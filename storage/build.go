package storage

import (
	"context"
	"errors"
	"io"

	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/datastore/dshelp"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"go.uber.org/zap"
)

// builder turns files, folders and links into blocks of the store. It is for
// one tree and one goroutine.
type builder struct {
	ctx    context.Context // of the call that builds
	dag    *ipld.BufferedDAG
	prefix cid.Builder
	left   int // entries that the tree may still have
}

// profile fixes how content becomes blocks, and with it every CID.
func profile() uio.UnixFSProfile { return uio.UnixFS_v1_2025 }

// build runs make on a new builder, then pins the node that it returns as p says,
// under the name that it returns unless p has one. If that fails, the blocks that
// it wrote are removed again: nobody could ask for them, and they may be what
// fills the disk.
func (s *Store) build(ctx context.Context, p PinInfo, make func(*builder) (string, ipld.Node, error)) (Stat, error) {
	if err := checkPinName(p.Name); err != nil {
		return Stat{}, err
	}
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return Stat{}, err
	}
	defer end()
	dag := &recorder{DAGService: s.kubo.dag, hold: s.claims.begin(), has: s.kubo.blocks.Has, room: s.makeRoom}
	name, nd, err := s.write(ctx, dag, make)
	var st Stat
	if err == nil {
		st, _, err = statNode(nd)
	}
	if err == nil {
		named := p.Name != ""
		if !named {
			p.Name = nameFrom(name)
		}
		_, err = s.keep(ctx, nd, p, named)
	}
	s.settle(ctx, dag, nd, err)
	if err != nil {
		return Stat{}, err
	}
	return st, nil
}

func (s *Store) write(ctx context.Context, dag ipld.DAGService, make func(*builder) (string, ipld.Node, error)) (string, ipld.Node, error) {
	b := &builder{ctx: ctx, dag: ipld.NewBufferedDAG(ctx, dag), prefix: profile().CidBuilder(), left: s.entries}
	name, nd, err := make(b)
	if err == nil {
		err = b.dag.Commit()
	}
	if err != nil {
		return "", nil, s.ended(ctx, err)
	}
	return name, nd, nil
}

// settle keeps what was written, or removes it if err says that it failed.
func (s *Store) settle(ctx context.Context, dag *recorder, root ipld.Node, err error) {
	dag.stop()
	ctx = context.WithoutCancel(ctx)
	// A pin can be there although it could not be synced.
	if err == nil || root != nil && s.mayBePinned(ctx, root.Cid()) {
		dag.hold.keep()
		return
	}
	if err := dag.hold.takeBack(ctx, s.remove); err != nil {
		s.log.Warn("blocks of what could not be stored are left on the disk", zap.Error(err))
	}
}

// remove removes a block. The blockstore remembers which blocks are here, and of
// a batch that failed half-way that none of it is, so the disk is told as well.
func (s *Store) remove(ctx context.Context, c cid.Cid) error {
	key := blockstore.BlockPrefix.Child(dshelp.MultihashToDsKey(c.Hash()))
	return errors.Join(s.kubo.blocks.DeleteBlock(ctx, c), s.repo.data.Delete(ctx, key))
}

// count takes one more entry into the tree.
func (b *builder) count() error {
	if b.left--; b.left < 0 {
		return errTooMany
	}
	return b.ctx.Err()
}

// file stores what r holds.
func (b *builder) file(r io.Reader) (ipld.Node, error) {
	params := helpers.DagBuilderParams{
		Maxlinks:   profile().FileDAGWidth,
		RawLeaves:  true,
		CidBuilder: b.prefix,
		Dagserv:    b.dag,
	}
	db, err := params.New(chunk.NewSizeSplitter(&stoppable{b.ctx, r}, profile().ChunkSize))
	if err != nil {
		return nil, err
	}
	return balanced.Layout(db)
}

// symlink stores a link.
func (b *builder) symlink(target string) (ipld.Node, error) {
	data, err := unixfs.SymlinkData(target)
	if err != nil {
		return nil, err
	}
	nd := merkledag.NodeWithData(data)
	if err := nd.SetCidBuilder(b.prefix); err != nil {
		return nil, err
	}
	return nd, b.dag.Add(b.ctx, nd)
}

// folder begins a folder; children are added with its AddChild, and store ends
// it. A folder of many entries is split over blocks by itself.
func (b *builder) folder() (uio.Directory, error) {
	return uio.NewDirectory(b.dag,
		uio.WithCidBuilder(b.prefix),
		uio.WithSizeEstimationMode(profile().HAMTSizeEstimation),
		uio.WithMaxHAMTFanout(profile().HAMTShardWidth))
}

func (b *builder) store(dir uio.Directory) (ipld.Node, error) {
	nd, err := dir.GetNode()
	if err != nil {
		return nil, err
	}
	return nd, b.dag.Add(b.ctx, nd)
}

// stoppable is a reader that a context ends between two reads.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// readOnly lets the UnixFS library, which wants to be able to write, read
// through a NodeGetter.
type readOnly struct{ ipld.NodeGetter }

var errReadOnly = errors.New("this view of the store cannot write")

func (readOnly) Add(context.Context, ipld.Node) error        { return errReadOnly }
func (readOnly) AddMany(context.Context, []ipld.Node) error  { return errReadOnly }
func (readOnly) Remove(context.Context, cid.Cid) error       { return errReadOnly }
func (readOnly) RemoveMany(context.Context, []cid.Cid) error { return errReadOnly }
