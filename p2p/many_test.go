package p2p

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/zap"
)

var some = map[string]string{"n": "1"}

// startMany starts n meshes that know only the first.
func startMany(t *testing.T, n int, key *SwarmKey) []*testMesh {
	t.Helper()
	all := make([]*testMesh, n)
	for i := range all {
		cfg := Config{SwarmKey: key, Labels: some}
		if i > 0 {
			cfg.Bootstrap = []peer.AddrInfo{all[0].info()}
		}
		all[i] = startLogged(t, cfg, zap.NewNop())
	}
	return all
}

// waitFull returns once each roster shows all of them.
func waitFull(t *testing.T, all ...*testMesh) {
	t.Helper()
	for _, m := range all {
		for _, other := range all {
			m.waitPeer(t, other.id())
		}
	}
}

// unused is a loopback address where nobody listens.
func unused(t *testing.T) multiaddr.Multiaddr {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.Addr().(*net.TCPAddr).Port))
}

// Whoever is alive leads to the others: nothing hangs on the founder, or on the
// peer that a newcomer happens to know.
func TestAnyPeerLeadsToAll(t *testing.T) {
	key := testKey(t)
	all := startMany(t, 8, key)
	waitFull(t, all...)
	all[0].kill()
	alive := all[1:]
	for _, knows := range []int{4, 6} {
		one := startLogged(t, Config{SwarmKey: key, Labels: some, Bootstrap: []peer.AddrInfo{all[knows].info()}}, zap.NewNop())
		alive = append(alive, one)
		waitFull(t, alive...)
	}
}

// A node that was away finds its swarm through the only one that is left of those
// that it remembers.
func TestOneOfManyRememberedIsAlive(t *testing.T) {
	key := testKey(t)
	all := startMany(t, 3, key)
	waitFull(t, all...)
	f := knownFile{Version: knownVersion}
	for range maxKnown - 1 {
		f.Peers = append(f.Peers, knownPeer{ID: test.RandPeerIDFatal(t).String(), Addrs: []string{unused(t).String()}})
	}
	f.Peers = append(f.Peers, knownPeer{ID: all[1].id().String(), Addrs: []string{all[1].addrs()[0].String()}})
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "peers.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	back := startLogged(t, Config{SwarmKey: key, Labels: some, KnownFile: file}, zap.NewNop())
	waitFull(t, append(all, back)...)
}

// Nodes may be started in any order: who is named and not there yet is tried
// until it is.
func TestStartedBeforeTheirBootstrap(t *testing.T) {
	key, id, at := testKey(t), testIdentity(t), unused(t)
	first, err := peer.IDFromPrivateKey(id)
	if err != nil {
		t.Fatal(err)
	}
	var all []*testMesh
	for range 3 {
		m := start(t, Config{SwarmKey: key, Labels: some, Bootstrap: []peer.AddrInfo{{ID: first, Addrs: []multiaddr.Multiaddr{at}}}})
		// It has been tried, in vain, before it is there.
		if err := m.Connect(deadline(t), peer.AddrInfo{ID: first, Addrs: []multiaddr.Multiaddr{at}}); err == nil {
			t.Fatal("somebody is there already")
		}
		all = append(all, m)
	}
	all = append(all, start(t, Config{SwarmKey: key, Labels: some, Identity: id, Listen: []multiaddr.Multiaddr{at}}))
	waitFull(t, all...)
}

// A peer that comes back is found again, at the address where it was, by those
// that it does not know any more.
func TestLostPeerIsDialledAgain(t *testing.T) {
	key, id, at := testKey(t), testIdentity(t), []multiaddr.Multiaddr{unused(t)}
	a := start(t, Config{SwarmKey: key, Labels: some})
	b := start(t, Config{SwarmKey: key, Labels: some, Identity: id, Listen: at})
	if err := a.Connect(deadline(t), b.info()); err != nil {
		t.Fatal(err)
	}
	was := a.waitPeer(t, b.id())
	w := a.Roster().Watch()
	defer w.Close()
	b.kill()
	waitOn(t, w, "b to go", func(c Change) bool { return c.Peer.ID == b.id() && c.Gone })
	b = start(t, Config{SwarmKey: key, Labels: some, Identity: id, Listen: at})
	waitOn(t, w, "b to come back", func(c Change) bool { return c.Peer.ID == b.id() && !c.Gone && c.Peer.Boot != was.Boot })
}

// Each of the three ways to hear of peers fills a roster by itself: peer exchange,
// gossip and the DHT.
func TestThreeWaysToFindPeers(t *testing.T) {
	key := testKey(t)
	all := startMany(t, 5, key)
	waitFull(t, all...)
	for name, way := range map[string]struct {
		ask func(context.Context, *Mesh)
		is  func(hint) bool
	}{
		"exchange": {func(context.Context, *Mesh) {}, func(h hint) bool { return h.first }},
		"gossip":   {func(ctx context.Context, m *Mesh) { m.hearOthers(ctx) }, func(h hint) bool { return h.alive && !h.first }},
		"DHT": {func(ctx context.Context, m *Mesh) {
			rendezvous, err := m.rendezvous()
			if err != nil {
				t.Error(err)
			}
			for ctx.Err() == nil { // the first question may come before there is anybody to ask
				m.look(ctx, rendezvous)
			}
		}, func(h hint) bool { return !h.alive }},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := New(Config{SwarmKey: key, Identity: testIdentity(t)}, zap.NewNop()) // no Run: nothing but what is asked for
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			m.Host().Network().(*swarm.Swarm).ListenClose(m.addrs()...) // nobody comes by himself
			if name != "DHT" {                                          // which connects to those whom it asks
				if err := m.dht.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := m.Connect(deadline(t), all[3].info()); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(deadline(t))
			var work sync.WaitGroup
			work.Go(func() { way.ask(ctx, m) })
			defer func() { cancel(); work.Wait() }()
			missing := map[peer.ID]bool{all[0].id(): true, all[1].id(): true, all[2].id(): true, all[4].id(): true}
			again := time.NewTicker(announceGap) // what is said before gossip's mesh has formed is lost
			defer again.Stop()
			for len(missing) > 0 {
				select {
				case <-again.C:
					for _, other := range all {
						notify(other.changed)
					}
				case h := <-m.found:
					if way.is(h) {
						delete(missing, h.ID)
					}
				case <-ctx.Done():
					t.Fatalf("%d peers were not heard of", len(missing))
				}
			}
		})
	}
}
