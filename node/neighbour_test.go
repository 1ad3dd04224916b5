package node

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// aMesh is a mesh of an open swarm that listens at IPs.
func aMesh(t *testing.T, ips ...string) *p2p.Mesh {
	t.Helper()
	key, err := p2p.LoadIdentity(t.TempDir() + "/identity.key")
	if err != nil {
		t.Fatal(err)
	}
	cfg := p2p.Config{Identity: key}
	for _, ip := range ips {
		cfg.Listen = append(cfg.Listen, multiaddr.StringCast("/ip4/"+ip+"/tcp/0"))
	}
	m, err := p2p.New(cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// A peer cannot have another look for it what listens where the other is: it is
// tried only where it comes from, whatever it announces.
func TestNeighbourIsNoScanner(t *testing.T) {
	t.Parallel()
	a, b := aMesh(t, "127.0.0.1"), aMesh(t, "127.0.0.1", "127.0.0.2")
	if err := b.Connect(t.Context(), peer.AddrInfo{ID: a.Host().ID(), Addrs: a.Host().Addrs()}); err != nil {
		t.Fatal(err)
	}
	changes := a.Roster().Watch()
	defer changes.Close()
	for {
		c, err := changes.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.Peer.ID == b.Host().ID() && len(c.Peer.Addrs) == 2 {
			break
		}
	}
	inside, err := net.Listen("tcp", "127.0.0.2:0") // of which b should learn nothing
	if err != nil {
		t.Fatal(err)
	}
	touched := make(chan bool)
	go func() {
		c, err := inside.Accept()
		if err == nil {
			c.Close()
		}
		touched <- err == nil
	}()
	_, port, _ := net.SplitHostPort(inside.Addr().String())
	number, _ := strconv.Atoi(port)
	n := &neighbour{mesh: a, tries: rate.NewLimiter(rate.Every(time.Second), 9)}
	got, err := n.Reach(t.Context(), job.PeerID(b.Host().ID().String()), api.ReachRequest{API: number})
	if err != nil {
		t.Fatal(err)
	}
	inside.Close()
	if <-touched {
		t.Error("a connection was made to where the peer does not come from")
	}
	for _, r := range append(got.Peers, got.API...) {
		if strings.Contains(r.Addr, "127.0.0.2") {
			t.Errorf("%s was tried: %s", r.Addr, r.Error)
		}
	}
	if len(got.Peers) != 1 || got.Peers[0].Error != "" || len(got.API) != 1 {
		t.Errorf("where it comes from: %+v", got)
	}
}
