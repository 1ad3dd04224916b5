package storage

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipfs/boxo/datastore/dshelp"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"

	"github.com/shoal-mesh/shoal/storage/storagetest"
)

// aPeer is a host on loopback with a DHT of its own kind, and a store on them.
type aPeer struct {
	*Store
	host host.Host
	dht  *dht.IpfsDHT
	told *toldRouting
	met  chan peer.ID // peers as they come into the routing table
	dir  string
}

// toldRouting reports the roots of which the routing was told.
type toldRouting struct {
	routing.Routing
	told chan cid.Cid
}

func (r *toldRouting) Provide(ctx context.Context, c cid.Cid, announce bool) error {
	err := r.Routing.Provide(ctx, c, announce)
	if err == nil {
		select {
		case r.told <- c:
		case <-ctx.Done():
		}
	}
	return err
}

// newPeer makes a peer that ends with the test. The options are for the host.
func newPeer(t testing.TB, opts ...libp2p.Option) *aPeer {
	t.Helper()
	p := newHost(t, opts...)
	p.dir = filepath.Join(t.TempDir(), "ipfs")
	p.open(t)
	return p
}

func newHost(t testing.TB, opts ...libp2p.Option) *aPeer {
	t.Helper()
	h, err := libp2p.New(append([]libp2p.Option{
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport), libp2p.DisableRelay(),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	all := func(any, peer.AddrInfo) bool { return true }
	d, err := dht.New(h,
		dht.ProtocolPrefix("/shoal-test"), dht.Mode(dht.ModeServer), dht.DisableAutoRefresh(),
		dht.AddressFilter(nil), dht.QueryFilter(all), dht.RoutingTablePeerDiversityFilter(nil),
		dht.RoutingTableFilter(func(any, peer.ID) bool { return true }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	p := &aPeer{host: h, dht: d, met: make(chan peer.ID, 16)}
	added := d.RoutingTable().PeerAdded
	d.RoutingTable().PeerAdded = func(id peer.ID) {
		added(id)
		p.met <- id
	}
	p.told = &toldRouting{d, make(chan cid.Cid)}
	return p
}

// open opens the peer's store, again if it was closed.
func (p *aPeer) open(t testing.TB) {
	t.Helper()
	s, err := Open(t.Context(), p.config(), zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	p.Store = s
}

func (p *aPeer) config() Config {
	return Config{Dir: p.dir, Host: p.host, Routing: p.told}
}

// run runs the store's Run until the test ends.
func (p *aPeer) run(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (p *aPeer) info() peer.AddrInfo { return peer.AddrInfo{ID: p.host.ID(), Addrs: p.host.Addrs()} }

// connect connects two peers and waits until their DHTs know each other.
func connect(t testing.TB, a, b *aPeer) {
	t.Helper()
	if err := a.host.Connect(t.Context(), b.info()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*aPeer{a, b} {
		select {
		case <-p.met:
		case <-t.Context().Done():
			t.Fatal("the DHTs did not find each other")
		}
	}
}

func apart(t testing.TB, a, b *aPeer) {
	t.Helper()
	if c := a.host.Network().Connectedness(b.host.ID()); c != network.NotConnected {
		t.Fatalf("the peers are %s", c)
	}
}

func write(t testing.TB, path, data string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustPut(t testing.TB, s *Store, path string) string {
	t.Helper()
	c, _, err := s.Put(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fetched fetches ref and returns the file's content.
func fetched(t testing.TB, s *Store, ref string, from ...peer.AddrInfo) string {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "out")
	if err := s.FetchFrom(t.Context(), ref, dst, from...); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(dst)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func isEmpty(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%q was left behind", e.Name())
	}
}

// blockFile is the file that a store keeps a block in.
func (p *aPeer) blockFile(t testing.TB, c string) string {
	t.Helper()
	id, err := cid.Decode(c)
	if err != nil {
		t.Fatal(err)
	}
	name := dshelp.MultihashToDsKey(id.Hash()).String()[1:] + ".data"
	found := ""
	err = filepath.WalkDir(filepath.Join(p.dir, blocksDir), func(path string, _ fs.DirEntry, err error) error {
		if filepath.Base(path) == name {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no file holds block %s: %v", c, err)
	}
	return found
}

const testPatience = 300 * time.Millisecond

func privateNetwork(t testing.TB) libp2p.Option {
	key := make(pnet.PSK, 32)
	copy(key, "a key that only these tests know")
	return libp2p.PrivateNetwork(key)
}

// observed has a logger write to core as well.
func observed(core zapcore.Core) zap.Option {
	return zap.WrapCore(func(c zapcore.Core) zapcore.Core { return zapcore.NewTee(c, core) })
}

// same demands that two trees are equal.
func same(t testing.TB, want, got string) {
	t.Helper()
	storagetest.Read(t, want).Same(t, storagetest.Read(t, got))
}
