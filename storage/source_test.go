package storage

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"github.com/shoal-mesh/shoal/storage/blockstream"
)

// impostor makes a peer answer requests for blocks with answer, which writes to
// the stream; false ends it. Its own store, and Bitswap, work as ever.
func (p *aPeer) impostor(answer func(s network.Stream, n int, c cid.Cid, honest []byte) bool) {
	p.host.SetStreamHandler(blockstream.Protocol, func(s network.Stream) {
		defer s.Reset()
		in := bufio.NewReader(s)
		for n := 0; ; n++ {
			var head [2]byte
			if _, err := io.ReadFull(in, head[:]); err != nil {
				return
			}
			raw := make([]byte, head[1])
			if _, err := io.ReadFull(in, raw); err != nil {
				return
			}
			c, err := cid.Cast(raw)
			if err != nil || head[0] == byte(blockstream.Damaged) {
				continue
			}
			var data []byte
			if b, err := p.kubo.blocks.Get(context.Background(), c); err == nil {
				data = b.RawData()
			}
			if !answer(s, n, c, data) {
				return
			}
		}
	})
}

func frame(status blockstream.Status, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{byte(status)}, uint32(len(data))), data...)
}

// deafToBitswap is a peer of which Bitswap hears nothing: what comes from it came
// over a stream of blocks.
func deafToBitswap(p *aPeer) {
	for _, proto := range p.host.Mux().Protocols() {
		if strings.Contains(string(proto), "bitswap") {
			p.host.RemoveStreamHandler(proto)
		}
	}
}

// manyBlocks is a folder of n MiB in files of 1 MiB, all different.
func manyBlocks(t *testing.T, n int) string {
	dir := filepath.Join(t.TempDir(), "many")
	for i := range n {
		write(t, filepath.Join(dir, fmt.Sprintf("%03d", i)), strings.Repeat(fmt.Sprintf("%07d\n", i), 128<<10))
	}
	return dir
}

// What a peer does that means ill, or is broken, costs time only: everything is
// had from an honest one, and what is wrong is said by name.
func TestBadSources(t *testing.T) {
	stalled := make(chan struct{})
	t.Cleanup(func() { close(stalled) })
	for name, c := range map[string]struct {
		answer func(s network.Stream, n int, c cid.Cid, honest []byte) bool
		warns  string
	}{
		"vanishes": {answer: func(s network.Stream, n int, _ cid.Cid, b []byte) bool {
			s.Write(frame(blockstream.Block, b))
			return n < 3
		}},
		"vanishes in a block": {answer: func(s network.Stream, n int, _ cid.Cid, b []byte) bool {
			s.Write(frame(blockstream.Block, b)[:len(b)/2])
			return n < 1
		}},
		"wrong bytes": {answer: func(s network.Stream, _ int, _ cid.Cid, b []byte) bool {
			b = bytes.Clone(b)
			b[len(b)/2] ^= 1
			_, err := s.Write(frame(blockstream.Block, b))
			return err == nil
		}, warns: "other bytes than the CID names"},
		"other blocks": {answer: func(s network.Stream, _ int, _ cid.Cid, _ []byte) bool {
			_, err := s.Write(frame(blockstream.Block, []byte("what nobody asked for")))
			return err == nil
		}, warns: "other bytes than the CID names"},
		"too short": {answer: func(s network.Stream, _ int, _ cid.Cid, b []byte) bool {
			_, err := s.Write(frame(blockstream.Block, b[:len(b)-1]))
			return err == nil
		}, warns: "other bytes than the CID names"},
		"too long": {answer: func(s network.Stream, _ int, _ cid.Cid, b []byte) bool {
			_, err := s.Write(binary.BigEndian.AppendUint32([]byte{byte(blockstream.Block)}, 1<<31))
			return err == nil
		}, warns: "malformed"},
		"no status": {answer: func(s network.Stream, _ int, _ cid.Cid, b []byte) bool {
			_, err := s.Write(frame(99, nil))
			return err == nil
		}, warns: "malformed"},
		"too much": {answer: func(s network.Stream, _ int, _ cid.Cid, b []byte) bool {
			_, err := s.Write(append(frame(blockstream.Block, b), "and more"...))
			return err == nil
		}, warns: ""},
		"nothing": {answer: func(s network.Stream, _ int, _ cid.Cid, b []byte) bool {
			<-stalled
			return false
		}},
		"drips": {answer: func(s network.Stream, _ int, _ cid.Cid, b []byte) bool {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for _, x := range frame(blockstream.Block, b) {
				if _, err := s.Write([]byte{x}); err != nil {
					return false
				}
				select {
				case <-tick.C:
				case <-stalled:
					return false
				}
			}
			return true
		}},
		"denies": {answer: func(s network.Stream, _ int, _ cid.Cid, b []byte) bool {
			_, err := s.Write(frame(blockstream.None, nil))
			return err == nil
		}},
		"promises": {answer: func(s network.Stream, _ int, _ cid.Cid, b []byte) bool {
			_, err := s.Write(frame(blockstream.Here, nil))
			return err == nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			src := manyBlocks(t, 12)
			bad, good, b := newPeer(t), newPeer(t), newPeer(t)
			folder := mustPut(t, bad.Store, src)
			if again := mustPut(t, good.Store, src); again != folder {
				t.Fatal("the same folder has two CIDs")
			}
			core, seen := observer.New(zapcore.WarnLevel)
			b.log = zaptest.NewLogger(t, zaptest.WrapOptions(observed(core)))
			bad.impostor(c.answer)
			deafToBitswap(bad)
			connect(t, b, bad)
			connect(t, b, good)
			dst := filepath.Join(t.TempDir(), "out")
			if err := b.FetchFrom(t.Context(), folder, dst, bad.info()); err != nil {
				t.Fatal(err)
			}
			same(t, src, dst)
			named := 0
			for _, e := range seen.All() {
				if e.ContextMap()["peer"] == bad.host.ID().String() && strings.Contains(fmt.Sprint(e.ContextMap()["error"]), c.warns) {
					named++
				}
			}
			if c.warns != "" && named != 1 {
				t.Errorf("the peer is named %d times for %q: %v", named, c.warns, seen.All())
			}
		})
	}
}

// With nobody else there, the error says what is missing, and nothing is left.
func TestOnlySourceVanishes(t *testing.T) {
	bad, b := newPeer(t), newPeer(t)
	folder := mustPut(t, bad.Store, manyBlocks(t, 12))
	deafToBitswap(bad)
	bad.impostor(func(s network.Stream, n int, _ cid.Cid, data []byte) bool {
		if n == 5 {
			go bad.host.Close()
			return false
		}
		_, err := s.Write(frame(blockstream.Block, data))
		return err == nil
	})
	connect(t, b, bad)
	b.patience = testPatience
	dir := t.TempDir()
	err := b.Fetch(t.Context(), folder, filepath.Join(dir, "out"))
	var missing *NotFoundError
	if !errors.As(err, &missing) || missing.Blocks == 0 || !strings.Contains(err.Error(), "is incomplete: after") {
		t.Errorf("want a NotFoundError that says how much came, got %v", err)
	}
	isEmpty(t, dir)
}

// The only source breaks every stream off after a few blocks: each time it is
// asked again, and for the rest only.
func TestSourceIsAskedAgain(t *testing.T) {
	shaky, b := newPeer(t), newPeer(t)
	src := manyBlocks(t, 12)
	folder := mustPut(t, shaky.Store, src)
	deafToBitswap(shaky)
	var sent atomic.Int32
	shaky.impostor(func(s network.Stream, n int, _ cid.Cid, data []byte) bool {
		sent.Add(1)
		_, err := s.Write(frame(blockstream.Block, data))
		return err == nil && n < 4
	})
	connect(t, b, shaky)
	dst := filepath.Join(t.TempDir(), "out")
	if err := b.Fetch(t.Context(), folder, dst); err != nil {
		t.Fatal(err)
	}
	same(t, src, dst)
	if n := sent.Load(); n > 13+8 { // what was on its way when a stream broke comes twice
		t.Errorf("%d blocks were sent for 13", n)
	}
}

// Three have it, and none of them is idle.
func TestThreeSourcesShareTheWork(t *testing.T) {
	src := manyBlocks(t, 24)
	b := newPeer(t)
	var sources []*aPeer
	for range 3 {
		p := newPeer(t)
		mustPut(t, p.Store, src)
		deafToBitswap(p)
		connect(t, b, p)
		sources = append(sources, p)
	}
	var all sync.WaitGroup
	all.Add(3)
	for _, p := range sources {
		var once sync.Once
		p.impostor(func(s network.Stream, n int, _ cid.Cid, data []byte) bool {
			if len(data) > blockstream.ProbeSize {
				once.Do(all.Done)
				all.Wait() // none goes on before each has something to do
			}
			_, err := s.Write(frame(blockstream.Block, data))
			return err == nil
		})
	}
	folder := mustPut(t, sources[0].Store, src)
	dst := filepath.Join(t.TempDir(), "out")
	if err := b.Fetch(t.Context(), folder, dst); err != nil {
		t.Fatal(err)
	}
	same(t, src, dst)
}

// A block that is damaged at a provider is refused by the receiver, and the
// provider learns of it and gives it to nobody any more.
func TestProviderLearnsOfDamage(t *testing.T) {
	a, good, b := newPeer(t), newPeer(t), newPeer(t)
	src := write(t, filepath.Join(t.TempDir(), "book"), "text")
	book := mustPut(t, a.Store, src)
	mustPut(t, good.Store, src)
	learnt := make(chan struct{}, 1)
	a.kubo.damage.log = zaptest.NewLogger(t, zaptest.WrapOptions(zap.Hooks(func(e zapcore.Entry) error {
		if strings.Contains(e.Message, "a block is damaged on this disk") {
			learnt <- struct{}{}
		}
		return nil
	})))
	write(t, a.blockFile(t, book), "tent")
	connect(t, b, a)
	connect(t, b, good)
	if got := fetched(t, b.Store, book, a.info()); got != "text" {
		t.Errorf("got %q", got)
	}
	<-learnt
	r, err := ParseRef(book)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := (served{a.Store}).Open(r.CID); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the damaged block is still given away: %v, %v", f, err)
	}
}
