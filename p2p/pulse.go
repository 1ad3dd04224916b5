package p2p

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"go.uber.org/zap"
)

// watchOver pings peers that have been quiet, takes those out that stay silent,
// and mends what events have missed, until ctx ends.
func (m *Mesh) watchOver(ctx context.Context) {
	beat := m.cfg.Silence / 15
	tick := time.NewTicker(beat)
	defer tick.Stop()
	var pings tasks
	defer pings.Wait()
	last := time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		late := max(0, now.Sub(last)-2*beat)
		last = now
		for _, p := range m.roster.sweep(now, late) {
			// A connection that carries nothing is replaced by a new one, if that
			// comes to be: when the other end thaws, both begin afresh. Closing can
			// wait for that end, so it is not waited for here.
			pings.Go(func() { m.host.Network().ClosePeer(p.ID) })
		}
		for _, id := range m.roster.pings(now) {
			pings.Go(func() { m.ping(ctx, id) })
		}
		m.mend(ctx)
	}
}

// ping measures a round trip over an existing connection.
func (m *Mesh) ping(ctx context.Context, id peer.ID) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "ping"), m.cfg.Silence/3)
	defer cancel()
	r, ok := <-ping.Ping(ctx, m.host, id)
	m.roster.pinged(id, r.RTT, ok && r.Error == nil, time.Now())
	if ok && r.Error != nil {
		m.log.Debug("ping", zap.Stringer("peer", id), zap.Error(r.Error))
	}
}

// mend greets connected peers that are not in the roster and has roster peers
// dialled that are not connected. Peers that do not speak hello (an IPFS node
// with the swarm's key) are left alone.
func (m *Mesh) mend(ctx context.Context) {
	for _, id := range m.host.Network().Peers() {
		if _, ok := m.roster.Get(id); ok {
			continue
		}
		if p, err := m.host.Peerstore().SupportsProtocols(id, helloProtocol); err == nil && len(p) > 0 {
			m.work.Go(func() { m.greet(ctx, id) })
		}
	}
	for _, p := range m.roster.Others() {
		if m.host.Network().Connectedness(p.ID) != network.Connected {
			m.hint(hint{AddrInfo: peer.AddrInfo{ID: p.ID, Addrs: p.Addrs}})
		}
	}
}
