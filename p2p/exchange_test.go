package p2p

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	"github.com/multiformats/go-multiaddr"
)

func TestExchangeRoundTrip(t *testing.T) {
	r, now := testRoster()
	addrs := make([]multiaddr.Multiaddr, maxAddrs)
	for i := range addrs {
		addrs[i] = multiaddr.StringCast(fmt.Sprintf("/ip4/10.0.0.7/tcp/%d", i+1))
	}
	asker := test.RandPeerIDFatal(t)
	for i := range 2 * exchangePeers {
		a := said(1, 1, "x")
		a.addrs = addrs
		r.hearGossip(test.RandPeerIDFatal(t), a, now) // hearsay is not passed on
		r.setSelf(a, now)                             // nor oneself
		if i == 0 {
			r.hearDirect(asker, a, nil, now)
		}
		if i < 3 {
			r.hearDirect(test.RandPeerIDFatal(t), a, addrs[2:3], now)
		}
	}
	told := r.acquaintances(asker)
	if len(told) != 3 {
		t.Fatalf("%d peers are told; want the three that it has met beside the asker", len(told))
	}
	for range 2 * exchangePeers {
		a := said(1, 1, "x")
		a.addrs = addrs
		r.hearDirect(test.RandPeerIDFatal(t), a, nil, now)
	}
	var b bytes.Buffer
	if err := sendExchange(&b, told); err != nil {
		t.Fatal(err)
	}
	got, err := receiveExchange(&b)
	if err != nil || len(got) != len(told) {
		t.Fatalf("%d peers, %v", len(got), err)
	}
	for i, p := range got {
		if p.ID != told[i].ID || len(p.Addrs) != exchangeAddrs || !p.Addrs[0].Equal(addrs[2]) {
			t.Errorf("got %s, sent %s", p, told[i])
		}
	}
	if n := len(r.acquaintances(asker)); n != exchangePeers {
		t.Errorf("%d peers are told; want %d", n, exchangePeers)
	}
	if got, err := receiveExchange(&b); err != nil || got != nil {
		t.Errorf("from a peer that tells of nobody: %v, %v", got, err)
	}
}

func TestExchangeRefused(t *testing.T) {
	long := bytes.Repeat([]byte{4}, maxAddrSize+1)
	one := exchangedPeer{ID: []byte(test.RandPeerIDFatal(t))}
	for name, x := range map[string]any{
		"too many peers":     exchangeWire{Peers: make([]exchangedPeer, exchangePeers+1)},
		"no peer ID":         exchangeWire{Peers: []exchangedPeer{{ID: []byte("x")}}},
		"no address":         exchangeWire{Peers: []exchangedPeer{{ID: one.ID, Addrs: [][]byte{{0xff}}}}},
		"a long address":     exchangeWire{Peers: []exchangedPeer{{ID: one.ID, Addrs: [][]byte{long}}}},
		"too many addresses": exchangeWire{Peers: []exchangedPeer{{ID: one.ID, Addrs: make([][]byte, maxAddrs+1)}}},
		"ten thousand":       exchangeWire{Peers: []exchangedPeer{{ID: one.ID, Addrs: make([][]byte, 10_000)}}},
		"something else":     strings.Repeat("x", 100),
		"too long":           strings.Repeat("x", exchangeLimit),
	} {
		payload, err := encMode.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := writeFrame(&b, payload); err != nil {
			t.Fatal(err)
		}
		if got, err := receiveExchange(&b); err == nil {
			t.Errorf("%s: %d peers; want an error", name, len(got))
		}
	}
	if _, err := receiveExchange(strings.NewReader("\x00\x00\x00\x09x")); err == nil {
		t.Error("a cut frame was taken")
	}
}

// What others say of where peers are makes this node dial no name and nothing on
// its own machine.
func TestDialable(t *testing.T) {
	var all []multiaddr.Multiaddr
	for _, s := range []string{"/ip4/10.0.0.7/tcp/1", "/ip4/127.0.0.1/tcp/22", "/ip6/::1/tcp/22", "/ip4/0.0.0.0/tcp/1", "/ip4/224.0.0.1/tcp/1",
		"/dns4/example.org/tcp/1", "/ip4/10.0.0.7/udp/1/quic-v1", "/ip4/10.0.0.7"} {
		all = append(all, multiaddr.StringCast(s))
	}
	far := []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/0.0.0.0/tcp/0")}
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"private":             {Config{SwarmKey: testKey(t), Listen: far}, "/ip4/10.0.0.7/tcp/1"},
		"private on loopback": {Config{SwarmKey: testKey(t)}, "/ip4/10.0.0.7/tcp/1 /ip4/127.0.0.1/tcp/22 /ip6/::1/tcp/22"},
		"open":                {Config{Listen: far}, "/ip4/10.0.0.7/tcp/1 /ip4/10.0.0.7/udp/1/quic-v1 /ip4/10.0.0.7"},
	} {
		t.Run(name, func(t *testing.T) {
			m := start(t, c.cfg)
			if len(m.addrs()) == 1 && m.addrs()[0].String()[:9] == "/ip4/127." && len(c.cfg.Listen) > 0 {
				t.Skip("this machine has no address but loopback")
			}
			var got []string
			for _, a := range m.dialable(all) {
				got = append(got, a.String())
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("dials %v; want %s", got, c.want)
			}
			m.hint(hint{AddrInfo: peer.AddrInfo{ID: test.RandPeerIDFatal(t), Addrs: all[5:6]}})
			if len(m.found) != 0 {
				t.Error("a peer without an address to dial is a hint")
			}
		})
	}
}
