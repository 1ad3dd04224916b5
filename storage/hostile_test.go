package storage

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	ipld "github.com/ipfs/go-ipld-format"
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
