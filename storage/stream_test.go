package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"go.uber.org/goleak"

	"github.com/shoal-mesh/shoal/storage/blockstream"
	"github.com/shoal-mesh/shoal/storage/storagetest"
)

// A peer that speaks Bitswap alone, as Kubo does, serves as well as any.
func TestFetchOverBitswapAlone(t *testing.T) {
	kubo, b := newPeer(t), newPeer(t)
	kubo.host.RemoveStreamHandler(blockstream.Protocol)
	connect(t, b, kubo)
	for what, make := range storagetest.Trees() {
		src, dst := filepath.Join(t.TempDir(), "src"), filepath.Join(t.TempDir(), "dst")
		make(t, src)
		if err := b.Fetch(t.Context(), mustPut(t, kubo.Store, src), dst); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		same(t, src, dst)
	}
}

// One peer speaks the stream and has the folder but not what is in it, the other
// has all of it and speaks Bitswap alone.
func TestFetchFromBothAtOnce(t *testing.T) {
	half, gone, _ := incomplete(t)
	kubo, b := newPeer(t), newPeer(t)
	dir := filepath.Join(t.TempDir(), "folder")
	write(t, filepath.Join(dir, "gone"), "gone")
	write(t, filepath.Join(dir, "here"), "here")
	if c := mustPut(t, kubo.Store, dir); c != gone {
		t.Fatalf("%s, want %s", c, gone)
	}
	kubo.host.RemoveStreamHandler(blockstream.Protocol)
	deafToBitswap(half)
	connect(t, b, half)
	connect(t, b, kubo)
	dst := filepath.Join(t.TempDir(), "out")
	if err := b.Fetch(t.Context(), gone, dst); err != nil {
		t.Fatal(err)
	}
	same(t, dir, dst)
}

// Who joins while a fetch waits is asked too.
func TestLateJoinerIsAsked(t *testing.T) {
	empty, late, b := newPeer(t), newPeer(t), newPeer(t)
	src := manyBlocks(t, 3)
	folder := mustPut(t, late.Store, src)
	deafToBitswap(late)
	asked := make(chan struct{}, 16)
	empty.impostor(func(s network.Stream, _ int, _ cid.Cid, _ []byte) bool {
		_, err := s.Write(frame(blockstream.None, nil))
		asked <- struct{}{}
		return err == nil
	})
	connect(t, b, empty)
	dst := filepath.Join(t.TempDir(), "out")
	done := make(chan error)
	go func() { done <- b.Fetch(t.Context(), folder, dst) }()
	<-asked
	connect(t, b, late)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	same(t, src, dst)
}

// A reader has the first bytes before the last are sent.
func TestCatBeginsBeforeTheEnd(t *testing.T) {
	a, b := newPeer(t), newPeer(t)
	data := storagetest.Noise(12 << 20)
	book := mustPut(t, a.Store, write(t, filepath.Join(t.TempDir(), "book"), data))
	deafToBitswap(a)
	read := make(chan struct{})
	a.impostor(func(s network.Stream, n int, _ cid.Cid, block []byte) bool {
		if n == 6 {
			<-read
		}
		_, err := s.Write(frame(blockstream.Block, block))
		return err == nil
	})
	connect(t, b, a)
	r, w := io.Pipe()
	done := make(chan error)
	go func() {
		err := b.Cat(t.Context(), book, w)
		w.Close()
		done <- err
	}()
	first := make([]byte, 1<<20)
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	close(read)
	rest, err := io.ReadAll(r)
	if err != nil || string(first)+string(rest) != data {
		t.Errorf("the bytes differ, %v", err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A fetch that is called off in the middle leaves neither files nor goroutines.
func TestCancelLeavesNothingRunning(t *testing.T) {
	a, b := newPeer(t), newPeer(t)
	folder := mustPut(t, a.Store, manyBlocks(t, 12))
	deafToBitswap(a)
	sent := make(chan struct{}, 100)
	a.impostor(func(s network.Stream, n int, _ cid.Cid, block []byte) bool {
		if n > 4 {
			sent <- struct{}{}
			_, err := s.Read(make([]byte, 1)) // until the other side goes
			return err == nil
		}
		_, err := s.Write(frame(blockstream.Block, block))
		return err == nil
	})
	connect(t, b, a)
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	done := make(chan error)
	go func() { done <- b.Fetch(ctx, folder, filepath.Join(dir, "out")) }()
	<-sent
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("want context.Canceled, got %v", err)
	}
	isEmpty(t, dir)
	goleak.VerifyNone(t, before)
}

func TestProgressGoesToTheTotal(t *testing.T) {
	a, b := newPeer(t), newPeer(t)
	connect(t, a, b)
	const size = 5<<20 + 7
	book := mustPut(t, a.Store, write(t, filepath.Join(t.TempDir(), "book"), storagetest.Noise(size)))
	for what, fetch := range map[string]func(context.Context) error{
		"received": func(ctx context.Context) error { _, err := b.Pin(ctx, book, ""); return err },
		"here":     func(ctx context.Context) error { return b.Cat(ctx, book, io.Discard) },
	} {
		var seen []Progress
		if err := fetch(WithProgress(t.Context(), func(p Progress) { seen = append(seen, p) })); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if len(seen) < 2 || seen[0].Total != size || seen[len(seen)-1].Done != size {
			t.Errorf("%s: %+v", what, seen)
		}
		for i := 1; i < len(seen); i++ {
			if seen[i].Done < seen[i-1].Done {
				t.Errorf("%s: it goes backwards: %+v", what, seen)
			}
		}
	}
}

// What was fetched in part before is not sent again.
func TestFetchResumes(t *testing.T) {
	a, b := newPeer(t), newPeer(t)
	src := manyBlocks(t, 8)
	for i := range 4 {
		mustPut(t, b.Store, filepath.Join(src, fmt.Sprintf("%03d", i)))
	}
	folder := mustPut(t, a.Store, src)
	connect(t, b, a)
	var last Progress
	if _, err := b.Pin(WithProgress(t.Context(), func(p Progress) { last = p }), folder, ""); err != nil {
		t.Fatal(err)
	}
	if last.Blocks != 5 || last.Received < 4<<20 || last.Received > 4<<20+64<<10 {
		t.Errorf("received %d blocks of %d bytes, want the folder and 4 files of 1 MiB", last.Blocks, last.Received)
	}
}

// Nothing leads out of the store: not a hash that is as long as may be, and not
// what somebody puts in a block's place.
func TestServesBlocksOnly(t *testing.T) {
	a := newPeer(t)
	book := mustPut(t, a.Store, write(t, filepath.Join(t.TempDir(), "book"), "text"))
	file := a.blockFile(t, book)
	remove(t, file)
	secret := write(t, filepath.Join(t.TempDir(), "secret"), "secret")
	if err := os.Symlink(secret, file); err != nil {
		t.Fatal(err)
	}
	id, err := cid.Decode(book)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := (served{a.Store}).Open(id); err == nil {
		f.Close()
		t.Error("a link in the store was followed")
	}
	long := cid.NewCidV1(cid.Raw, append([]byte{0x00, 120}, strings.Repeat("../", 40)...))
	if f, err := (served{a.Store}).Open(long); !errors.Is(err, os.ErrNotExist) {
		if err == nil {
			f.Close()
		}
		t.Errorf("a hash of dots and slashes: %v", err)
	}
}
