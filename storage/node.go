package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// Kind is what a reference names.
type Kind string

// The kinds of things in a store.
const (
	File    Kind = "file"
	Folder  Kind = "folder"
	Symlink Kind = "symlink"
)

// Stat describes a file, folder or symbolic link in the store.
type Stat struct {
	CID string
	// Size in bytes: of a file its length, of a folder that of all its blocks, as
	// its root claims, of a symbolic link 0.
	Size int64
	Kind Kind
}

// A DAG from elsewhere can be folded so that a few blocks unfold to more folders
// than any disk holds. These bound what is written out of one reference, and
// what is taken in as one.
const (
	maxEntries = 1 << 20
	maxDepth   = 256
)

// isRaw tells that a block has no links.
func isRaw(c cid.Cid) bool { return c.Type() == cid.Raw }

// statNode tells what a node is. The target is where a symbolic link points.
func statNode(nd ipld.Node) (st Stat, target string, err error) {
	st.CID = nd.Cid().String()
	switch n := nd.(type) {
	case *merkledag.RawNode:
		st.Kind, st.Size = File, int64(len(n.RawData()))
		return st, "", nil
	case *merkledag.ProtoNode:
		f, err := unixfs.FSNodeFromBytes(n.Data())
		if err != nil {
			return st, "", fmt.Errorf("%s is damaged, or neither a file nor a folder: %w", st.CID, err)
		}
		switch f.Type() {
		case unixfs.TFile, unixfs.TRaw:
			st.Kind, st.Size = File, clamp(f.FileSize())
			return st, "", nil
		case unixfs.TDirectory, unixfs.THAMTShard:
			size, err := n.Size()
			if err != nil {
				return st, "", fmt.Errorf("%s is damaged: %w", st.CID, err)
			}
			st.Kind, st.Size = Folder, clamp(size)
			return st, "", nil
		case unixfs.TSymlink:
			st.Kind = Symlink
			return st, string(f.Data()), nil
		}
	}
	return st, "", fmt.Errorf("%s is neither a file nor a folder", st.CID)
}

func clamp(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// list returns the entries of a folder in the order of their names, each name
// once and fit to be written to a disk; at most limit of them.
func list(ctx context.Context, dag ipld.DAGService, nd ipld.Node, limit int) ([]*ipld.Link, error) {
	dir, err := uio.NewDirectoryFromNode(dag, nd)
	if err != nil {
		return nil, fmt.Errorf("reading folder %s: %w", nd.Cid(), err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the sender if this returns early
	var links []*ipld.Link
	for l := range dir.EnumLinksAsync(ctx) {
		if l.Err != nil {
			return nil, fmt.Errorf("reading folder %s: %w", nd.Cid(), l.Err)
		}
		if len(links) >= limit {
			return nil, errTooMany
		}
		if err := checkName(l.Link.Name); err != nil {
			return nil, fmt.Errorf("reading folder %s: %w", nd.Cid(), err)
		}
		links = append(links, l.Link)
	}
	if err := ctx.Err(); err != nil {
		return nil, err // the list may be cut short
	}
	slices.SortFunc(links, func(a, b *ipld.Link) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(links); i++ {
		if links[i].Name == links[i-1].Name {
			return nil, fmt.Errorf("reading folder %s: it has the name %q twice", nd.Cid(), links[i].Name)
		}
	}
	return links, nil
}

var (
	errTooMany error = limitError("it holds more files and folders than one reference may")
	errTooDeep error = limitError(fmt.Sprintf("folders more than %d deep", maxDepth))
)

// checkName refuses what is not the name of one entry of a folder.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("the name %q is not allowed", name)
	}
	return nil
}

// find goes from a root down a path. Links are not followed.
func find(ctx context.Context, dag ipld.NodeGetter, r Ref) (ipld.Node, error) {
	nd, err := dag.Get(ctx, r.CID)
	if err != nil {
		return nil, err
	}
	for i, name := range r.Path {
		here := Ref{r.CID, r.Path[:i]}
		st, _, err := statNode(nd)
		if err != nil {
			return nil, err
		}
		if st.Kind != Folder {
			return nil, fmt.Errorf("%s is a %s, not a folder: %w", here, st.Kind, fs.ErrNotExist)
		}
		dir, err := uio.NewDirectoryFromNode(readOnly{dag}, nd)
		if err != nil {
			return nil, fmt.Errorf("reading folder %s: %w", here, err)
		}
		nd, err = dir.Find(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no %q in %s: %w", name, here, fs.ErrNotExist)
		}
		if err != nil {
			return nil, fmt.Errorf("looking for %q in %s: %w", name, here, err)
		}
	}
	return nd, nil
}
