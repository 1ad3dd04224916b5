package p2p

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

func TestProbe(t *testing.T) {
	key := testKey(t)
	a, b, c := start(t, Config{SwarmKey: key}), start(t, Config{SwarmKey: key}), start(t, Config{SwarmKey: key})
	foreign := start(t, Config{SwarmKey: testKey(t)})
	shut := accepts(t, func(c net.Conn) { c.Close() })
	nobody := multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")
	udp := multiaddr.StringCast("/ip4/127.0.0.1/udp/1/quic-v1")
	asked := peer.AddrInfo{ID: b.id(), Addrs: []multiaddr.Multiaddr{b.addrs()[0], nobody, c.addrs()[0], shut.Addrs[0], udp, foreign.addrs()[0]}}
	got := a.Probe(deadline(t), asked)
	if len(got) != len(asked.Addrs) {
		t.Fatalf("%d results for %d addresses", len(got), len(asked.Addrs))
	}
	for i, want := range []string{"", "nothing listens there", c.id().String() + " answers there", "wrong or missing swarm key", "no address that this node can dial", "swarm key"} {
		switch err := got[i].Err; {
		case !got[i].Addr.Equal(asked.Addrs[i]):
			t.Errorf("result %d is of %s", i, got[i].Addr)
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", got[i].Addr, err, want)
		}
	}
	if !errors.Is(got[1].Err, syscall.ECONNREFUSED) || !errors.Is(got[3].Err, ErrSwarmKey) {
		t.Errorf("the reasons cannot be told apart: %v", got)
	}
	if n := len(a.Host().Network().ConnsToPeer(b.id())); n != 0 {
		t.Errorf("probing left %d connections", n)
	}
	for range 20 {
		asked.Addrs = append(asked.Addrs, nobody)
	}
	if n := len(a.Probe(deadline(t), asked)); n != maxProbed {
		t.Errorf("%d addresses of one peer were tried", n)
	}
}

func TestFailing(t *testing.T) {
	shut := accepts(t, func(c net.Conn) { c.Close() })
	b := start(t, Config{SwarmKey: testKey(t)})
	a := start(t, Config{SwarmKey: b.cfg.SwarmKey, Bootstrap: []peer.AddrInfo{shut, b.info()}})
	a.waitFor(t, "b", func(c Change) bool { return c.Peer.ID == b.id() && !c.Gone })
	ctx := deadline(t)
	var got []Failing
	for len(got) == 0 || got[0].Tries < 2 { // the dials report themselves
		if ctx.Err() != nil {
			t.Fatalf("%+v", got)
		}
		got = a.Failing()
	}
	if len(got) != 1 || got[0].ID != shut.ID || !errors.Is(got[0].Err, ErrSwarmKey) || got[0].Since.IsZero() {
		t.Errorf("%+v, want the one that hangs up", got)
	}
	a.failing.note(shut.ID, nil, got[0].Since)
	if got := a.Failing(); len(got) != 0 && got[0].Tries > 1 {
		t.Errorf("after a connection was made: %+v", got)
	}
}
