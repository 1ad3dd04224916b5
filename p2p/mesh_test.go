package p2p

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Both belong to the process, not to a host: libraries start them once.
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"),
		goleak.IgnoreTopFunction("github.com/ipfs/go-log/v2/writer.(*MirrorWriter).logRoutine"),
	)
}

// patience is the only limit that tests have: they wait for events, and this is
// how long until a test is called hung.
const patience = 60 * time.Second

// deadline bounds one test's waiting.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func testIdentity(t *testing.T) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func testKey(t *testing.T) *SwarmKey {
	t.Helper()
	key, err := NewSwarmKey()
	if err != nil {
		t.Fatal(err)
	}
	return &key
}

// testMesh is a Mesh with its Run going, until stop or the test's end.
type testMesh struct {
	*Mesh
	cancel context.CancelFunc
	ended  chan error
	down   bool
}

func start(t *testing.T, cfg Config) *testMesh {
	t.Helper()
	return startLogged(t, cfg, zaptest.NewLogger(t).Named(t.Name()))
}

func startLogged(t *testing.T, cfg Config, log *zap.Logger) *testMesh {
	t.Helper()
	if cfg.Identity == nil {
		cfg.Identity = testIdentity(t)
	}
	m, err := New(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	tm := &testMesh{Mesh: m, cancel: cancel, ended: make(chan error, 1)}
	go func() { tm.ended <- m.Run(ctx) }()
	t.Cleanup(func() { tm.stop(t) })
	return tm
}

func (m *testMesh) stop(t *testing.T) {
	t.Helper()
	if m.down {
		return
	}
	m.down = true
	m.cancel()
	if err := <-m.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	for range 2 {
		if err := m.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func (m *testMesh) id() peer.ID { return m.Host().ID() }

func (m *testMesh) info() peer.AddrInfo {
	return peer.AddrInfo{ID: m.id(), Addrs: m.addrs()}
}

// waitFor follows a roster until a change satisfies want.
func (m *testMesh) waitFor(t *testing.T, what string, want func(Change) bool) Change {
	t.Helper()
	w := m.Roster().Watch()
	defer w.Close()
	return waitOn(t, w, what, want)
}

func waitOn(t *testing.T, w *Watch, what string, want func(Change) bool) Change {
	t.Helper()
	ctx := deadline(t)
	for {
		c, err := w.Next(ctx)
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if want(c) {
			return c
		}
	}
}

func (m *testMesh) waitPeer(t *testing.T, id peer.ID) Peer {
	t.Helper()
	return m.waitFor(t, "peer "+id.String(), func(c Change) bool { return c.Peer.ID == id && !c.Gone && c.Peer.Labels != nil }).Peer
}

func TestHelloFillsBothRosters(t *testing.T) {
	key := testKey(t)
	a := start(t, Config{SwarmKey: key, Labels: map[string]string{"site": "attic"}, Ledgers: []string{"l1"}, Boot: 77})
	b := start(t, Config{SwarmKey: key, Labels: map[string]string{"site": "cellar"}, Bootstrap: []peer.AddrInfo{a.info()}})
	seen := b.waitPeer(t, a.id())
	if seen.Labels["site"] != "attic" || seen.Boot != 77 || seen.Ledgers[0] != "l1" || seen.Self || len(seen.Addrs) == 0 {
		t.Errorf("b sees a as %+v", seen)
	}
	if got := a.waitPeer(t, b.id()).Labels["site"]; got != "cellar" {
		t.Errorf("a sees b at %q", got)
	}
	me, ok := a.Roster().Get(a.id())
	if !ok || !me.Self || me.Labels["site"] != "attic" {
		t.Errorf("a sees itself as %+v", me)
	}
	if err := a.Announce(map[string]string{"site": "roof"}, nil); err != nil {
		t.Fatal(err)
	}
	b.waitFor(t, "the new label", func(c Change) bool { return c.Peer.ID == a.id() && c.Peer.Labels["site"] == "roof" })
	if err := a.Announce(map[string]string{"a b": ""}, nil); err == nil {
		t.Error("an impossible label was announced")
	}
}

// Of two that dial each other at the same time, each may take the other for the
// one that begins; and a hello may run out of time.
func TestHelloWithoutBeingGreeted(t *testing.T) {
	m := start(t, Config{SwarmKey: testKey(t)})
	h := insider(t, m)
	asked := make(chan struct{}, greetings)
	h.SetStreamHandler(helloProtocol, func(s network.Stream) {
		s.Reset() // at first, as if there were no time
		asked <- struct{}{}
	})
	for range 2 {
		select {
		case <-asked:
		case <-deadline(t).Done():
			t.Fatal("who dialled says no hello, and nobody does")
		}
	}
}

func TestThreeKnowOnlyTheFirst(t *testing.T) {
	for name, key := range map[string]*SwarmKey{"private": testKey(t), "open": nil} {
		t.Run(name, func(t *testing.T) {
			say := map[string]string{"n": "1"}
			a := start(t, Config{SwarmKey: key, Labels: say})
			b := start(t, Config{SwarmKey: key, Labels: say, Bootstrap: []peer.AddrInfo{a.info()}})
			c := start(t, Config{SwarmKey: key, Labels: say, Bootstrap: []peer.AddrInfo{a.info()}})
			all := []*testMesh{a, b, c}
			for _, m := range all {
				for _, other := range all {
					m.waitPeer(t, other.id())
				}
			}
		})
	}
}

func TestRoutingOfAllPeers(t *testing.T) {
	key := testKey(t)
	a := start(t, Config{SwarmKey: key, Labels: map[string]string{"n": "1"}})
	b := start(t, Config{SwarmKey: key, Labels: map[string]string{"n": "1"}, Bootstrap: []peer.AddrInfo{a.info()}})
	a.waitPeer(t, b.id())
	var r routing.Routing = b.Routing()
	found, err := r.FindPeer(deadline(t), a.id())
	if err != nil || found.ID != a.id() {
		t.Errorf("FindPeer: %v, %v", found, err)
	}
}

func TestRememberedPeers(t *testing.T) {
	key, file := testKey(t), filepath.Join(t.TempDir(), "peers.json")
	say := map[string]string{"n": "1"}
	a := start(t, Config{SwarmKey: key, Labels: say})
	id := testIdentity(t)
	b := start(t, Config{SwarmKey: key, Labels: say, Identity: id, KnownFile: file, Bootstrap: []peer.AddrInfo{a.info()}})
	b.waitPeer(t, a.id())
	// The file is complete as soon as the roster is, however short the run.
	was := a.waitPeer(t, b.id())
	b.stop(t)
	b = start(t, Config{SwarmKey: key, Labels: say, Identity: id, KnownFile: file})
	b.waitPeer(t, a.id())
	a.waitFor(t, "the new process", func(c Change) bool { return c.Peer.ID == b.id() && !c.Gone && c.Peer.Boot != was.Boot })
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file of remembered peers: %v, %v", info, err)
	}
}

func TestDamagedKnownFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "peers.json")
	for name, text := range map[string]string{
		"not JSON": "{", "empty": "", "bad ID": `{"version":1,"peers":[{"id":"x"}]}`, "newer": `{"version":2}`,
		"bad address": `{"version":1,"peers":[{"id":"12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN","addrs":["x"]}]}`,
		"huge":        strings.Repeat(" ", knownLimit+1),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := New(Config{Identity: testIdentity(t), KnownFile: file}, zaptest.NewLogger(t))
		if err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v; want an error that names the file", name, err)
		}
	}
}

func TestKnownIsBounded(t *testing.T) {
	k, err := loadKnown("")
	if err != nil {
		t.Fatal(err)
	}
	for range maxKnown + 5 {
		id, _ := peer.IDFromPrivateKey(testIdentity(t))
		k.saw(Peer{ID: id, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/10.0.0.7/tcp/1")}})
	}
	if n := len(k.list()); n != maxKnown {
		t.Errorf("%d remembered; want %d", n, maxKnown)
	}
	if b, err := json.Marshal(knownFile{Version: 1, Peers: k.sorted()}); err != nil || len(b) > knownLimit {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestWrongKeyCannotConnect(t *testing.T) {
	a := start(t, Config{SwarmKey: testKey(t)})
	for name, key := range map[string]*SwarmKey{"another key": testKey(t), "no key": nil} {
		t.Run(name, func(t *testing.T) {
			b := start(t, Config{SwarmKey: key})
			err := b.Connect(deadline(t), a.info())
			if err == nil {
				t.Fatal("connected")
			}
			// Most often the connection ends, but what cannot be read may look like the
			// beginning of something long that is waited for.
			if !errors.Is(err, ErrSwarmKey) && (!errors.Is(err, ErrSilent) || !strings.Contains(err.Error(), "swarm key")) {
				t.Errorf("%v; want ErrSwarmKey", err)
			}
			advises(t, err, "token")
			if n := len(a.Host().Network().Peers()) + len(b.Host().Network().Peers()); n != 0 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// A private host says nothing that can be read without the key, to whoever asks.
func TestPrivateHostSpeaksNothingInTheClear(t *testing.T) {
	for name, key := range map[string]*SwarmKey{"private": testKey(t), "open": nil} {
		m := start(t, Config{SwarmKey: key})
		network, addr, err := manet.DialArgs(m.addrs()[0])
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		hello := []byte("\x13/multistream/1.0.0\n")
		c.Write(hello)
		wait := patience
		if key != nil {
			wait = 2 * time.Second // for what should not come
		}
		c.SetReadDeadline(time.Now().Add(wait))
		got := make([]byte, len(hello))
		n, _ := c.Read(got)
		c.Close()
		if clear := bytes.HasPrefix(hello, got[:n]) && n > 0; clear != (key == nil) {
			t.Errorf("%s host answers %q", name, got[:n])
		}
		m.stop(t)
	}
}

func TestGoneOnGoodbye(t *testing.T) {
	key := testKey(t)
	say := map[string]string{"n": "1"}
	a := start(t, Config{SwarmKey: key, Labels: say})
	b := start(t, Config{SwarmKey: key, Labels: say, Bootstrap: []peer.AddrInfo{a.info()}})
	a.waitPeer(t, b.id())
	w := a.Roster().Watch()
	defer w.Close()
	b.stop(t)
	c := waitOn(t, w, "b to go", func(c Change) bool { return c.Peer.ID == b.id() && c.Gone })
	if !c.Left || !strings.Contains(c.Why, "goodbye") {
		t.Errorf("why: %s", c.Why)
	}
}

// kill ends a mesh as a crash would: without a goodbye.
func (m *testMesh) kill() {
	m.cancel()
	m.ended <- <-m.ended // stop reads it again
	m.Host().Close()
}

func TestGoneOnRefused(t *testing.T) {
	key := testKey(t)
	say := map[string]string{"n": "1"}
	// Whoever dialled: the address to knock at is known to both.
	for _, dialler := range []string{"survivor", "victim"} {
		t.Run(dialler, func(t *testing.T) {
			a := start(t, Config{SwarmKey: key, Labels: say, Silence: time.Hour})
			var b *testMesh
			if dialler == "victim" {
				b = start(t, Config{SwarmKey: key, Labels: say, Bootstrap: []peer.AddrInfo{a.info()}})
			} else {
				b = start(t, Config{SwarmKey: key, Labels: say})
				if err := a.Connect(deadline(t), b.info()); err != nil {
					t.Fatal(err)
				}
			}
			a.waitPeer(t, b.id())
			b.waitPeer(t, a.id())
			w := a.Roster().Watch()
			defer w.Close()
			b.kill()
			c := waitOn(t, w, "b to go", func(c Change) bool { return c.Peer.ID == b.id() && c.Gone })
			if c.Left || !strings.Contains(c.Why, "refused") {
				t.Errorf("why: %s", c.Why)
			}
		})
	}
}

func TestPortInUse(t *testing.T) {
	key := testKey(t)
	a := start(t, Config{SwarmKey: key})
	_, err := New(Config{SwarmKey: key, Identity: testIdentity(t), Listen: a.addrs()}, zaptest.NewLogger(t))
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("%v; want EADDRINUSE and what to do", err)
	}
}

func TestConfigRefused(t *testing.T) {
	key := testKey(t)
	for name, cfg := range map[string]Config{
		"no identity":     {},
		"zero key":        {Identity: testIdentity(t), SwarmKey: &SwarmKey{}},
		"private QUIC":    {Identity: testIdentity(t), SwarmKey: key, Listen: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/udp/0/quic-v1")}},
		"private socket":  {Identity: testIdentity(t), SwarmKey: key, Listen: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/0/ws")}},
		"bad label":       {Identity: testIdentity(t), Labels: map[string]string{"": ""}},
		"hasty":           {Identity: testIdentity(t), Silence: time.Millisecond},
		"no such address": {Identity: testIdentity(t), Listen: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/192.0.2.1/tcp/0")}},
	} {
		if m, err := New(cfg, zaptest.NewLogger(t)); err == nil {
			m.Close()
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestAnnounced(t *testing.T) {
	var all []multiaddr.Multiaddr
	for _, s := range []string{"/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.7/tcp/1", "/ip6/fe80::1/tcp/1", "/ip6/::1/tcp/1", "/ip4/0.0.0.0/tcp/1"} {
		all = append(all, multiaddr.StringCast(s))
	}
	for _, c := range []struct {
		all      []multiaddr.Multiaddr
		loopback bool
		want     string
	}{
		{all, false, "/ip4/10.0.0.7/tcp/1"},
		{all, true, "/ip4/10.0.0.7/tcp/1 /ip4/127.0.0.1/tcp/1 /ip6/::1/tcp/1"},
		{all[:1], false, "/ip4/127.0.0.1/tcp/1"},
	} {
		var got []string
		for _, a := range announced(c.all, c.loopback) {
			got = append(got, a.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("announced %v; want %s", got, c.want)
		}
	}
	// A wildcard listener stands for real addresses. Nothing connects to it here.
	m := start(t, Config{SwarmKey: testKey(t), Loopback: true, Listen: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/0.0.0.0/tcp/0")}})
	if len(m.Addrs()) == 0 {
		t.Fatal("no addresses")
	}
	for _, a := range m.Addrs() {
		info, err := peer.AddrInfoFromP2pAddr(a)
		if err != nil || info.ID != m.id() || manet.IsIPUnspecified(info.Addrs[0]) {
			t.Errorf("address %s, %v", a, err)
		}
	}
}
