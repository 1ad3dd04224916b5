package p2p

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// wire carries TCP to a mesh until it is frozen: then connections stay open, and
// nothing comes through, as with a cut cable or a stopped process.
type wire struct {
	net.Listener
	target string
	frozen chan struct{}
	stuck  chan struct{} // if not nil, nothing is even read once it is frozen, until this is closed
	work   sync.WaitGroup
}

func newWire(t *testing.T, m *testMesh) *wire {
	t.Helper()
	_, target, err := manet.DialArgs(m.addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l, target: target, frozen: make(chan struct{})}
	w.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.work.Go(func() { w.carry(c) })
		}
	})
	t.Cleanup(func() { l.Close(); w.work.Wait() })
	return w
}

func (w *wire) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp4", w.target)
	if err != nil {
		return
	}
	defer far.Close()
	var both sync.WaitGroup
	both.Go(func() { w.copy(near, far); far.Close(); near.Close() })
	both.Go(func() { w.copy(far, near); far.Close(); near.Close() })
	both.Wait()
}

// copy swallows what it reads once the wire is frozen.
func (w *wire) copy(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-w.frozen:
			if to = nil; w.stuck != nil {
				<-w.stuck
			}
		default:
		}
		if to != nil {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

func TestGoneOnSilence(t *testing.T) {
	key, say := testKey(t), map[string]string{"n": "1"}
	b := start(t, Config{SwarmKey: key, Labels: say, Silence: time.Hour})
	w := newWire(t, b)
	at, err := manet.FromNetAddr(w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	a := start(t, Config{SwarmKey: key, Labels: say, Silence: time.Second,
		Bootstrap: []peer.AddrInfo{{ID: b.id(), Addrs: []multiaddr.Multiaddr{at}}}})
	a.waitPeer(t, b.id())
	watch := a.Roster().Watch()
	defer watch.Close()
	close(w.frozen)
	c := waitOn(t, watch, "b to go", func(c Change) bool { return c.Peer.ID == b.id() && c.Gone })
	if !strings.Contains(c.Why, "no sign of life") {
		t.Errorf("why: %s", c.Why)
	}
	// The dead connection is given up, and b is found again where it really is.
	back := waitOn(t, watch, "b to come back", func(c Change) bool { return c.Peer.ID == b.id() && !c.Gone })
	if back.Peer.Boot != c.Peer.Boot {
		t.Error("the same process came back with another boot ID")
	}
}

// A node stops although a peer does not take even a byte from it any more, as when
// its process is stopped and all buffers between are full.
func TestCloseDespiteFrozenPeer(t *testing.T) {
	key := testKey(t)
	b := start(t, Config{SwarmKey: key, Labels: some, Silence: time.Hour})
	w := newWire(t, b)
	w.stuck = make(chan struct{})
	at, err := manet.FromNetAddr(w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	a := start(t, Config{SwarmKey: key, Labels: some, Silence: time.Hour,
		Bootstrap: []peer.AddrInfo{{ID: b.id(), Addrs: []multiaddr.Multiaddr{at}}}})
	a.waitPeer(t, b.id())
	post := NewPost(a.Mesh, "/test/post", func(peer.ID, []byte) error { return nil })
	close(w.frozen)
	for post.Send(b.id(), make([]byte, PostFrameLimit)) { // until its queue is full
	}
	post.Close()
	a.stop(t) // hangs, unless all that it does is bounded
	close(w.stuck)
}

// The signs of life of a peer are by a clock that nobody sets.
func TestSeenIsMonotonic(t *testing.T) {
	a, _ := pair(t)
	for _, p := range a.Roster().Peers() {
		if !strings.Contains(p.Seen.String(), " m=") {
			t.Errorf("peer %s was seen at %s, a time of the wall clock", p.ID, p.Seen)
		}
	}
}
