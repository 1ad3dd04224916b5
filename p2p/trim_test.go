package p2p

import (
	"context"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/zap"
)

// However many connections there are, those of the mesh are kept: only others are
// trimmed.
func TestRosterPeersAreNotTrimmed(t *testing.T) {
	key := testKey(t)
	hub := startLogged(t, Config{SwarmKey: key, trim: trim{low: 1, high: 2}}, zap.NewNop())
	all := []*testMesh{hub}
	for range 6 {
		all = append(all, startLogged(t, Config{SwarmKey: key, Labels: some, Bootstrap: []peer.AddrInfo{hub.info()}}, zap.NewNop()))
	}
	for _, m := range all[1:] {
		hub.waitPeer(t, m.id())
	}
	var strangers []host.Host
	for range 6 {
		strangers = append(strangers, insider(t, hub))
	}
	// The protection follows the roster, a moment later.
	for _, m := range all[1:] {
		for !hub.Host().ConnManager().IsProtected(m.id(), rosterTag) {
			pauseOrFail(t, "a peer of the roster to be protected")
		}
	}
	open := func() (n int) {
		for _, h := range strangers {
			if hub.Host().Network().Connectedness(h.ID()) == network.Connected {
				n++
			}
		}
		return n
	}
	for open() > hub.cfg.trim.low {
		hub.Host().ConnManager().TrimOpenConns(context.Background())
		pauseOrFail(t, "strangers to be trimmed")
	}
	for _, m := range all[1:] {
		if hub.Host().Network().Connectedness(m.id()) != network.Connected {
			t.Errorf("the connection to a peer of the mesh was trimmed")
		}
	}
}
