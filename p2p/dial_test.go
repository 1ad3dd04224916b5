package p2p

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// advises checks that an error is one line that ends in what to do.
func advises(t *testing.T, err error, what string) {
	t.Helper()
	if err == nil {
		return
	}
	_, advice, _ := strings.Cut(err.Error(), "): ")
	if strings.Contains(err.Error(), "\n") || !strings.Contains(advice, what) {
		t.Errorf("the error is %q; want one line that ends in %q", err, what)
	}
}

// accepts is the address of a peer that takes connections and does with them what
// it is told to, and nothing else.
func accepts(t *testing.T, then func(net.Conn)) peer.AddrInfo {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at, err := manet.FromNetAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(t.Context(), func() { c.Close() })
			work.Go(func() { then(c) })
		}
	})
	t.Cleanup(func() { l.Close(); work.Wait() })
	return peer.AddrInfo{ID: test.RandPeerIDFatal(t), Addrs: []multiaddr.Multiaddr{at}}
}

func silence(c net.Conn) { c.Read(make([]byte, 1<<10)) }

func TestConnectErrors(t *testing.T) {
	key := testKey(t)
	a, b := start(t, Config{SwarmKey: key}), start(t, Config{SwarmKey: key})
	elsewhere := peer.AddrInfo{ID: a.id(), Addrs: b.addrs()}
	c := start(t, Config{SwarmKey: key})
	err := c.Connect(deadline(t), elsewhere)
	if err == nil || !strings.Contains(err.Error(), b.id().String()+" answers there") {
		t.Errorf("another peer's address: %v", err)
	}
	advises(t, err, "use its ID, or the right address")
	gone := a.info()
	a.stop(t)
	c = start(t, Config{SwarmKey: key}) // one that has no other address for it
	err = c.Connect(deadline(t), gone)
	if !errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, ErrSwarmKey) || errors.Is(err, ErrSilent) {
		t.Errorf("nobody there: %v", err)
	}
	advises(t, err, "is that node running, and is the port right?")
}

// Only who ends the handshake is accused of another key; who just does not answer
// may be frozen, and who was a member before is.
func TestConnectBlamesTheKeyWithReason(t *testing.T) {
	m := start(t, Config{SwarmKey: testKey(t)})
	met := accepts(t, silence)
	dying := accepts(t, func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() })
	for _, p := range []peer.AddrInfo{met, dying} {
		m.known.saw(Peer{ID: p.ID, Addrs: p.Addrs})
	}
	for name, c := range map[string]struct {
		to     peer.AddrInfo
		within time.Duration // what the caller has; libp2p has five seconds for the handshake
		want   error
		blames bool
		advice string
	}{
		"closes":          {accepts(t, func(c net.Conn) { c.Close() }), patience, ErrSwarmKey, true, "join that swarm with a token"},
		"resets":          {accepts(t, func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() }), patience, ErrSwarmKey, true, "join that swarm with a token"},
		"silent stranger": {accepts(t, silence), patience, ErrSilent, true, "join its swarm with a token, or see how that machine is doing"},
		"in a short time": {accepts(t, silence), 100 * time.Millisecond, ErrSilent, true, "join its swarm with a token, or see how that machine is doing"},
		"dying member":    {dying, patience, nil, false, "look at that machine if this goes on"},
		"silent member":   {met, 100 * time.Millisecond, ErrSilent, false, "see how that machine is doing"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), c.within)
			defer cancel()
			err := m.Connect(ctx, c.to)
			for _, e := range []error{ErrSwarmKey, ErrSilent} {
				if errors.Is(err, e) != (e == c.want) {
					t.Errorf("%v; want %v", err, c.want)
				}
			}
			if got := strings.Contains(err.Error(), "swarm key"); got != c.blames {
				t.Errorf("%v; the key is mentioned: %v, want %v", err, got, c.blames)
			}
			advises(t, err, c.advice)
		})
	}
}

func TestOneLine(t *testing.T) {
	at := multiaddr.StringCast("/ip4/10.0.0.7/tcp/1235")
	e := &swarm.DialError{Peer: "p", Cause: swarm.ErrAllDialsFailed, Skipped: 3, DialErrors: []swarm.TransportError{
		{Address: at, Cause: syscall.ECONNREFUSED}, {Address: at, Cause: errors.New("one\n  two")},
	}}
	got := inOneLine(e)
	want := "/ip4/10.0.0.7/tcp/1235: connection refused; /ip4/10.0.0.7/tcp/1235: one two; 3 more"
	if got.Error() != want || !errors.Is(got, syscall.ECONNREFUSED) {
		t.Errorf("%q, want %q", got, want)
	}
}
