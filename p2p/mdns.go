package p2p

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"go.uber.org/zap"
)

const mdnsAgain = time.Minute // after it could not be started

// mdnsService is the name under which the nodes of one swarm look for each other.
// That of a private swarm is derived from its key: on the network it is 15
// letters, which tell a stranger neither the swarm's fingerprint nor anything
// else but whether two nodes are in the same one.
func (m *Mesh) mdnsService() string {
	if m.cfg.SwarmKey == nil {
		return "_shoal._udp"
	}
	name := text32.EncodeToString(m.cfg.SwarmKey.derive(nil, "shoal mdns v1", 10))
	return "_" + name[:15] + "._udp" // a service name has at most 15 characters
}

// findNearby looks for peers on the local network until ctx ends. What answers
// there is a hint to dial and no more. A machine that is not on any network yet is
// no failure.
func (m *Mesh) findNearby(ctx context.Context) {
	if !m.cfg.MDNS {
		return
	}
	log := m.log.Warn
	for {
		s := mdns.NewMdnsService(m.host, m.mdnsService(), nearby{m})
		err := s.Start()
		if err == nil {
			<-ctx.Done()
		} else {
			log("not looking for peers on the local network, trying on", zap.Duration("again_in", mdnsAgain), zap.Error(err))
			log = m.log.Debug
		}
		if err := s.Close(); err != nil {
			m.log.Debug("ending the search on the local network", zap.Error(err))
		}
		if !pause(ctx, mdnsAgain) {
			return
		}
	}
}

// nearby takes what mDNS finds.
type nearby struct{ m *Mesh }

func (n nearby) HandlePeerFound(p peer.AddrInfo) {
	n.m.hint(hint{AddrInfo: p, alive: true})
}
