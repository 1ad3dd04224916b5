package blockstream

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"
)

// folder serves the files of a folder, by CID.
type folder struct {
	dir      string
	suspects chan cid.Cid
}

func (f folder) Open(c cid.Cid) (*os.File, error) { return os.Open(filepath.Join(f.dir, c.String())) }

func (f folder) Suspect(_ context.Context, c cid.Cid) { f.suspects <- c }

func (f folder) put(t *testing.T, data string) cid.Cid {
	t.Helper()
	c := idOf(t, data)
	if err := os.WriteFile(filepath.Join(f.dir, c.String()), []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func newHost(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Transport(tcp.NewTCPTransport), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// pair is a server and a host that is connected to it.
func pair(t *testing.T) (*Server, folder, host.Host) {
	t.Helper()
	at, from := newHost(t), newHost(t)
	f := folder{t.TempDir(), make(chan cid.Cid, 100)}
	s := NewServer(at, f, zaptest.NewLogger(t))
	t.Cleanup(s.Close)
	if err := from.Connect(t.Context(), peer.AddrInfo{ID: at.ID(), Addrs: at.Addrs()}); err != nil {
		t.Fatal(err)
	}
	return s, f, from
}

func open(t *testing.T, from host.Host, s *Server) *Client {
	t.Helper()
	c, err := Open(t.Context(), from, s.host.ID())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

const soon = 20 * time.Second

func TestAnswersComeInOrder(t *testing.T) {
	s, f, from := pair(t)
	large := strings.Repeat("large", MaxBlock/5)
	small := strings.Repeat("small", 100)
	c := open(t, from, s)
	err := c.Ask(soon,
		Request{Want, f.put(t, large)}, Request{Want, idOf(t, "is not there")}, Request{Probe, idOf(t, large)},
		Request{Probe, f.put(t, small)}, Request{Probe, idOf(t, "neither")}, Request{Want, f.put(t, "")}, Request{Want, idOf(t, small)})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Answer{
		{Block, len(large), []byte(large)}, {Status: None}, {Here, len(large), nil},
		{Block, len(small), []byte(small)}, {Status: None}, {Block, 0, []byte{}}, {Block, len(small), []byte(small)},
	} {
		got, err := c.Next(soon)
		if err != nil || got.Status != want.Status || got.Size != want.Size || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("answer %d: status %d, size %d, %v", i, got.Status, got.Size, err)
		}
	}
}

// Nothing but blocks is served: no folder, nothing over the bound.
func TestOnlyBlocksAreServed(t *testing.T) {
	s, f, from := pair(t)
	dir := idOf(t, "dir")
	if err := os.Mkdir(filepath.Join(f.dir, dir.String()), 0o700); err != nil {
		t.Fatal(err)
	}
	c := open(t, from, s)
	if err := c.Ask(soon, Request{Want, dir}, Request{Want, f.put(t, strings.Repeat("x", MaxBlock+1))}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if a, err := c.Next(soon); err != nil || a.Status != None {
			t.Errorf("status %d of %d bytes, %v", a.Status, a.Size, err)
		}
	}
}

func TestMalformedRequestEndsTheStream(t *testing.T) {
	s, f, from := pair(t)
	id := f.put(t, "text")
	for i := range maxFaults {
		c := open(t, from, s)
		if _, err := c.stream.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if a, err := c.Next(soon); err == nil {
			t.Errorf("%d: answered with %v", i, a)
		}
	}
	// Whoever goes on like that is not served for a while.
	for { // the last fault may not have been counted yet
		c := open(t, from, s)
		if err := c.Ask(soon, Request{Want, id}); err != nil {
			break
		}
		if _, err := c.Next(soon); err != nil {
			break
		}
	}
}

func TestReportsReachTheStore(t *testing.T) {
	s, f, from := pair(t)
	id := f.put(t, "text")
	if err := Report(t.Context(), from, s.host.ID(), id); err != nil {
		t.Fatal(err)
	}
	if got := <-f.suspects; got != id {
		t.Errorf("%s is suspected, want %s", got, id)
	}
	c := open(t, from, s)
	var many []Request
	for range 3 * reportsAtOnce {
		many = append(many, Request{Damaged, id})
	}
	if err := c.Ask(soon, append(many, Request{Want, id})...); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(soon); err != nil {
		t.Fatal(err)
	}
	if n := len(f.suspects); n > reportsAtOnce+reportsPerSecond*int(soon/time.Second) || n == 3*reportsAtOnce {
		t.Errorf("%d of %d reports had a block read", n, 3*reportsAtOnce)
	}
}

// A peer that speaks something else, and one that is not connected, are errors.
func TestOpenFails(t *testing.T) {
	a, b := newHost(t), newHost(t)
	if _, err := Open(t.Context(), a, b.ID()); err == nil {
		t.Error("opened a stream to a peer that is not connected")
	}
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
	c, err := Open(t.Context(), a, b.ID())
	if err == nil {
		if err = c.Ask(soon, Request{Want, idOf(t, "x")}); err == nil {
			_, err = c.Next(soon)
		}
	}
	if err == nil {
		t.Error("a peer that does not speak it answered")
	}
}

// Close ends streams in the middle of a block, and leaves nothing running.
func TestCloseEndsStreams(t *testing.T) {
	s, f, from := pair(t)
	before := goleak.IgnoreCurrent()
	large := f.put(t, strings.Repeat("x", MaxBlock))
	var clients []*Client
	for range 4 {
		c := open(t, from, s)
		var many []Request
		for range 30 { // more than fits on the way
			many = append(many, Request{Want, large})
		}
		if err := c.Ask(soon, many...); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Next(soon); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	s.Close()
	for _, c := range clients {
		for {
			if _, err := c.Next(soon); err != nil {
				break
			}
		}
	}
	goleak.VerifyNone(t, before)
}

func TestLimits(t *testing.T) {
	l, now := newLimits(), time.Now()
	for i := range MaxPeerStreams {
		if !l.enter("a", now) {
			t.Fatalf("stream %d of a peer is refused", i)
		}
	}
	if l.enter("a", now) {
		t.Error("a peer has more streams than it may")
	}
	l.leave("a")
	if !l.enter("a", now) {
		t.Error("after the end of one stream there is no room for another")
	}
	n := MaxPeerStreams
	for ; n < MaxStreams; n++ {
		if !l.enter(peer.ID(fmt.Sprint(n)), now) {
			t.Fatalf("stream %d is refused", n)
		}
	}
	if l.enter("b", now) {
		t.Error("there are more streams than there may be")
	}
	l = newLimits()
	for range maxFaults {
		if !l.enter("bad", now) {
			t.Fatal("a peer is refused too soon")
		}
		l.leave("bad")
		l.fault("bad", now)
	}
	if l.enter("bad", now) || !l.enter("bad", now.Add(2*penalty)) {
		t.Error("a peer that sent nonsense is to be refused for a while")
	}
	for i := range 2 * maxBad {
		l.fault(peer.ID(fmt.Sprint(i)), now)
	}
	if len(l.bad) > maxBad {
		t.Errorf("%d peers are remembered", len(l.bad))
	}
}

// Many streams at once, each of its own blocks.
func TestManyStreams(t *testing.T) {
	s, f, from := pair(t)
	var all sync.WaitGroup
	for i := range 8 {
		c := open(t, from, s)
		all.Go(func() {
			for j := range 20 {
				data := strings.Repeat(fmt.Sprint(i, j), 10_000)
				if err := c.Ask(soon, Request{Want, f.put(t, data)}); err != nil {
					t.Error(err)
					return
				}
				if a, err := c.Next(soon); err != nil || string(a.Data) != data {
					t.Errorf("stream %d, block %d: %v", i, j, err)
					return
				}
			}
		})
	}
	all.Wait()
}
