package storage

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-mesh/shoal/storage/storagetest"
)

func TestFetchFromConnectedPeer(t *testing.T) {
	for name, opts := range map[string][]libp2p.Option{"public": nil, "private": {privateNetwork(t)}} {
		t.Run(name, func(t *testing.T) {
			a, b := newPeer(t, opts...), newPeer(t, opts...)
			connect(t, a, b)
			for what, make := range storagetest.Trees() {
				src, dst := filepath.Join(t.TempDir(), "src"), filepath.Join(t.TempDir(), "dst")
				make(t, src)
				if err := b.Fetch(t.Context(), mustPut(t, a.Store, src), dst); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				storagetest.Read(t, src).Same(t, storagetest.Read(t, dst))
			}
		})
	}
}

// c knows only b, and b knows that a has it.
func TestFetchByDHT(t *testing.T) {
	a, b, c := newPeer(t), newPeer(t), newPeer(t)
	connect(t, a, b)
	book := mustPut(t, a.Store, write(t, filepath.Join(t.TempDir(), "book"), "text"))
	a.run(t)
	if told := <-a.told.told; told.String() != book {
		t.Fatalf("%s was announced, want %s", told, book)
	}
	connect(t, c, b)
	apart(t, a, c)
	if got := fetched(t, c.Store, book); got != "text" {
		t.Errorf("got %q", got)
	}
}

// A peer that starts alone announces its pins once it meets another.
func TestRunAnnouncesPinsAfterRestart(t *testing.T) {
	a, b := newPeer(t), newPeer(t)
	book := mustPut(t, a.Store, write(t, filepath.Join(t.TempDir(), "book"), "text"))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a.open(t)
	a.run(t)
	connect(t, a, b)
	if told := <-a.told.told; told.String() != book {
		t.Errorf("%s was announced, want %s", told, book)
	}
}

func TestFetchFromNamedProvider(t *testing.T) {
	a, b, gone := newPeer(t), newPeer(t), newPeer(t)
	book := mustPut(t, a.Store, write(t, filepath.Join(t.TempDir(), "book"), "text"))
	apart(t, a, b)
	nobody := gone.info()
	if err := errors.Join(gone.Close(), gone.host.Close()); err != nil {
		t.Fatal(err)
	}
	if got := fetched(t, b.Store, book, nobody, b.info(), a.info()); got != "text" {
		t.Errorf("got %q", got)
	}
	b.patience = testPatience
	err := b.FetchFrom(t.Context(), unknownCID, filepath.Join(t.TempDir(), "out"), nobody, peer.AddrInfo{})
	var missing *NotFoundError
	if !errors.As(err, &missing) {
		t.Errorf("with providers that are gone: %v", err)
	}
}

// Every connected peer says no, and the routing knows nobody: there is no point
// in waiting for as long as patience allows.
func TestNotFoundSaysHowManyWereAsked(t *testing.T) {
	a, b := newPeer(t), newPeer(t)
	connect(t, a, b)
	b.patience = testPatience
	err := b.Cat(t.Context(), "ipfs://"+unknownCID, new(bytes.Buffer))
	var missing *NotFoundError
	if !errors.As(err, &missing) {
		t.Fatalf("want a NotFoundError, got %v", err)
	}
	want := NotFoundError{Ref: "ipfs://" + unknownCID, CID: unknownCID, Peers: 1, Waited: testPatience / certain, Denied: true}
	if *missing != want {
		t.Errorf("got %+v, want %+v", *missing, want)
	}
}

// incomplete returns a peer with a folder of which one block is gone, the
// folder's CID and that of the block.
func incomplete(t *testing.T) (p *aPeer, folder, gone string) {
	p = newPeer(t)
	dir := filepath.Join(t.TempDir(), "folder")
	gone = mustPut(t, p.Store, write(t, filepath.Join(dir, "gone"), "gone"))
	write(t, filepath.Join(dir, "here"), "here")
	folder = mustPut(t, p.Store, dir)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	remove(t, p.blockFile(t, gone))
	p.open(t)
	return p, folder, gone
}

func TestIncompleteNamesWhatIsMissing(t *testing.T) {
	a, folder, gone := incomplete(t)
	b := newPeer(t)
	connect(t, a, b)
	b.patience = testPatience
	dir := t.TempDir()
	err := b.Fetch(t.Context(), folder, filepath.Join(dir, "out"))
	var missing *NotFoundError
	if !errors.As(err, &missing) || missing.CID != gone || missing.Blocks == 0 {
		t.Errorf("want %s to be missing, got %v", gone, err)
	}
	isEmpty(t, dir)
}

func TestCancelLeavesNothing(t *testing.T) {
	a, folder, _ := incomplete(t)
	b := newPeer(t)
	connect(t, a, b)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.Fetch(ctx, folder, filepath.Join(dir, "out")) }()
	if err := b.Ls(t.Context(), folder, func(Entry) error { return nil }); err != nil { // the fetch has begun to get something
		t.Error(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("want context.Canceled, got %v", err)
	}
	isEmpty(t, dir)
}

func TestPinFetchesAllOfIt(t *testing.T) {
	a, b := newPeer(t), newPeer(t)
	connect(t, a, b)
	dir := filepath.Join(t.TempDir(), "folder")
	write(t, filepath.Join(dir, "sub", "x"), strings.Repeat("x", 3<<20))
	folder := mustPut(t, a.Store, dir)
	st, err := b.Pin(t.Context(), "ipfs://"+folder+"/sub", "")
	if err != nil || st.Name != "sub" || st.By != User || st.Size < 3<<20 {
		t.Fatal(st, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got := fetched(t, b.Store, st.CID+"/x"); len(got) != 3<<20 {
		t.Errorf("got %d bytes", len(got))
	}
	if pins := b.pins(t); len(pins) != 1 || pins[0] != st {
		t.Errorf("the pins are %v", pins)
	}
}

func TestLsAndCatOfAFile(t *testing.T) {
	p := newPeer(t)
	dir := filepath.Join(t.TempDir(), "folder")
	write(t, filepath.Join(dir, "file"), "12345")
	if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	folder := mustPut(t, p.Store, dir)
	for path, want := range map[string]Stat{"file": {Size: 5, Kind: File}, "link": {Kind: Symlink}} {
		err := p.Ls(t.Context(), folder+"/"+path, func(got Entry) error {
			if got.Name != path || got.Size != want.Size || got.Kind != want.Kind {
				t.Errorf("%s is %v", path, got)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	var out bytes.Buffer
	if err := p.Cat(t.Context(), folder+"/file", &out); err != nil || out.String() != "12345" {
		t.Errorf("Cat: %q, %v", out.String(), err)
	}
	if err := p.Cat(t.Context(), folder, &out); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("Cat of a folder: %v", err)
	}
}
