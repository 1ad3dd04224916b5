package p2p

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/zap"
)

// Announcements that are due within these times become one. Newcomers can wait
// longer: connected ones have heard all by hello, and when many join at once,
// each would have everybody speak.
const (
	announceGap = 100 * time.Millisecond
	newcomerGap = 2 * time.Second
)

// publishSelf announces this node on the labels topic: on a change, when the
// topic's peers change, and now and then.
func (m *Mesh) publishSelf(ctx context.Context) {
	for {
		a := m.announcement()
		m.roster.setSelf(a, time.Now()) // its addresses may be new
		if err := m.labels.Publish(ctx, a); err != nil && ctx.Err() == nil {
			m.log.Warn("announcing this node", zap.Error(err))
		}
		if !pause(ctx, announceGap) {
			return
		}
		// A random part keeps nodes that started together from speaking together.
		timer := time.NewTimer(announceEvery - rand.N(announceEvery/6))
		select {
		case <-m.changed:
		case <-m.labels.PeersChanged():
			timer.Reset(newcomerGap)
			select {
			case <-m.changed:
			case <-timer.C:
			case <-ctx.Done():
			}
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// hearOthers takes what peers announce by gossip, and gets to know strangers.
func (m *Mesh) hearOthers(ctx context.Context) {
	for {
		from, a, err := m.labels.Next(ctx)
		if err != nil {
			return
		}
		if !m.roster.hearGossip(from, a, time.Now()) {
			continue
		}
		if m.host.Network().Connectedness(from) == network.Connected {
			m.work.Go(func() { m.greet(ctx, from) })
		} else {
			m.hint(hint{AddrInfo: peer.AddrInfo{ID: from, Addrs: a.addrs}, alive: true})
		}
	}
}

// pause waits; false means that ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
