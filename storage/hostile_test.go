package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"
)

// Anyone can write blocks that no honest program would. Nothing may come out of
// the folder that is fetched, nor fill the disk from a handful of blocks.
func TestHostileFolders(t *testing.T) {
	p := newPeer(t)
	p.entries = 1000
	add := func(nd ipld.Node) ipld.Node {
		if err := p.kubo.dag.Add(t.Context(), nd); err != nil {
			t.Fatal(err)
		}
		return nd
	}
	link := func(dir *merkledag.ProtoNode, name string, to ipld.Node) *merkledag.ProtoNode {
		if err := dir.AddNodeLink(name, to); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	body := add(merkledag.NewRawNode([]byte("hostile")))
	data, err := unixfs.SymlinkData("/")
	if err != nil {
		t.Fatal(err)
	}
	root := add(merkledag.NodeWithData(data))
	deep, wide := unixfs.EmptyDirNode(), unixfs.EmptyDirNode()
	for i := range maxDepth + 2 {
		deep = link(unixfs.EmptyDirNode(), "d", add(deep))
		if i < 40 { // 2^40 folders out of 40 blocks
			wide = link(link(unixfs.EmptyDirNode(), "a", add(wide)), "b", wide)
		}
	}
	bad := map[string]ipld.Node{
		"too deep":    deep,
		"too wide":    wide,
		"link twice":  link(link(unixfs.EmptyDirNode(), "x", root), "x", body),
		"no UnixFS":   merkledag.NodeWithData([]byte{0xff, 0xff}),
		"only bytes":  merkledag.NodeWithData(nil),
		"damaged dir": merkledag.NodeWithData(append(unixfs.FolderPBData(), 0xff)),
	}
	for _, name := range []string{"", ".", "..", "/etc/x", "a/b", "../x", "nul\x00"} {
		bad[fmt.Sprintf("name %q", name)] = link(unixfs.EmptyDirNode(), name, body)
	}
	for name, nd := range bad {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := p.Fetch(t.Context(), add(nd).Cid().String(), filepath.Join(dir, "out")); err == nil {
				t.Error("it was fetched")
			}
			isEmpty(t, dir)
			if err := p.Tar(t.Context(), nd.Cid().String(), new(bytes.Buffer)); err == nil {
				t.Error("it was made into an archive")
			}
		})
	}
}

// A few blocks can unfold to a file of any size, whatever size they claim. It does
// not fill the disk.
func TestHostileFiles(t *testing.T) {
	p := newPeer(t)
	leaf := merkledag.NewRawNode(make([]byte, 1<<20))
	if err := p.kubo.dag.Add(t.Context(), leaf); err != nil {
		t.Fatal(err)
	}
	// unfolds is a file of 2^10 leaves, and says of each part that it has part(real) bytes.
	unfolds := func(part func(uint64) uint64) string {
		var nd ipld.Node = leaf
		for size := uint64(1 << 20); size < 1<<30; size *= 2 {
			f, twice := unixfs.NewFSNode(unixfs.TFile), new(merkledag.ProtoNode)
			for range 2 {
				f.AddBlockSize(part(size))
				if err := twice.AddNodeLink("", nd); err != nil {
					t.Fatal(err)
				}
			}
			data, err := f.GetBytes()
			if err != nil {
				t.Fatal(err)
			}
			twice.SetData(data)
			if err := p.kubo.dag.Add(t.Context(), twice); err != nil {
				t.Fatal(err)
			}
			nd = twice
		}
		return nd.Cid().String()
	}
	for name, c := range map[string]string{
		"says so": unfolds(func(n uint64) uint64 { return n }),
		"lies":    unfolds(func(uint64) uint64 { return 1 }),
	} {
		t.Run(name, func(t *testing.T) {
			left, dir := int64(20<<20), t.TempDir()
			p.diskOf = func(string) diskSpace {
				return func() (free, total int64, _ error) { left -= 1 << 20; return left, 1 << 30, nil }
			}
			var full *FullError
			if err := p.Fetch(t.Context(), c, filepath.Join(dir, "out")); !errors.As(err, &full) || !full.Disk {
				t.Errorf("the error is %v", err)
			}
			isEmpty(t, dir)
		})
	}
}

const wideLinks = 40_000

// wide is a folder, as large as a block can be, with links to first, if that is
// not nil, and to blocks that nobody has.
func wide(t *testing.T, n int, first ipld.Node) ipld.Node {
	t.Helper()
	nd := merkledag.NodeWithData(unixfs.FolderPBData())
	if first != nil {
		if err := nd.AddNodeLink("", first); err != nil {
			t.Fatal(err)
		}
	}
	for i := range wideLinks {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d %d", n, i))
		hash, err := multihash.Encode(sum[:], multihash.SHA2_256)
		if err != nil {
			t.Fatal(err)
		}
		if err := nd.AddRawLink("x", &ipld.Link{Cid: cid.NewCidV1(cid.DagProtobuf, hash)}); err != nil {
			t.Fatal(err)
		}
	}
	return nd
}

// Nor does a tree that links to more blocks than anybody can fetch fill the memory.
func TestHostileWidth(t *testing.T) {
	a, b := newPeer(t), newPeer(t)
	connect(t, a, b)
	top := unixfs.EmptyDirNode()
	for n := range 10 {
		nd := wide(t, n, nil)
		if err := errors.Join(b.kubo.dag.Add(t.Context(), nd), top.AddNodeLink(fmt.Sprint(n), nd)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.kubo.dag.Add(t.Context(), top); err != nil {
		t.Fatal(err)
	}
	l := a.newLoader(t.Context(), Ref{CID: top.Cid()}, a.claims.begin(), fetching{})
	defer l.stop()
	nd, err := l.Get(t.Context(), top.Cid())
	if err != nil {
		t.Fatal(err)
	}
	l.begin(nd)
	for asked := 0; asked < maxWants; runtime.Gosched() {
		if err := context.Cause(l.ctx); err != nil {
			t.Fatal(err)
		}
		l.mu.Lock()
		asked = len(l.wants)
		l.mu.Unlock()
	}
	l.stop() // which ends the walk; it has done all that it could
	if n := len(l.wants); n > maxWants+1 {
		t.Errorf("%d blocks are asked for", n)
	}
	if n := len(l.walk.steps); n > 2*wideLinks {
		t.Errorf("%d more blocks are kept in mind", n)
	}
}

// One that is as deep as it is wide is given up.
func TestHostileDepth(t *testing.T) {
	p := newPeer(t)
	var nd ipld.Node
	for n := range maxAhead/200/wideLinks + 1 {
		nd = wide(t, n, nd)
		if err := p.kubo.dag.Add(t.Context(), nd); err != nil {
			t.Fatal(err)
		}
	}
	var limit limitError
	if _, err := p.Pin(t.Context(), nd.Cid().String(), ""); !errors.As(err, &limit) || limit != errTooWide {
		t.Errorf("the error is %v", err)
	}
}
