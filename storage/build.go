package storage

import (
	"context"
	"errors"
	"io"

	"github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
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

// build runs make on a new builder, then pins the node that it returns under
// the name that it returns.
func (s *Store) build(ctx context.Context, make func(*builder) (string, ipld.Node, error)) (Stat, error) {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return Stat{}, err
	}
	defer end()
	unlock := s.kubo.blocks.PinLock(ctx) // no collector may come between the blocks and their pin
	defer unlock.Unlock(ctx)
	b := &builder{ctx: ctx, dag: ipld.NewBufferedDAG(ctx, s.kubo.dag), prefix: profile().CidBuilder(), left: s.entries}
	name, nd, err := make(b)
	if commit := b.dag.Commit(); err == nil { // also waits for writes that an error left under way
		err = commit
	}
	if err != nil {
		return Stat{}, ended(ctx, err)
	}
	st, _, err := statNode(nd)
	if err != nil {
		return Stat{}, err
	}
	return st, s.keep(ctx, nd.Cid(), name)
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
