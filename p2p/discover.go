package p2p

import (
	"context"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
	"go.uber.org/zap"
)

const (
	lookSoon     = time.Second // after the roster has grown
	lookLate     = 5 * time.Second
	lookSeldom   = 2 * time.Minute
	lookTimeout  = 10 * time.Second
	provideAgain = time.Hour // well within the 48 h that a record lasts
)

// discover finds peers through the DHT until ctx ends: once the roster has grown,
// and then ever more seldom. While it is growing, peer exchange brings more than
// the DHT would, whose questions each cost a dozen peers an answer. Found peers
// go to seek.
func (m *Mesh) discover(ctx context.Context) {
	key, err := m.rendezvous()
	if err != nil {
		m.log.Error("looking for peers", zap.Error(err))
		return
	}
	var provided time.Time
	size, wait, looked := 0, lookSoon, time.Now()
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-m.met:
			timer.Stop()
			wait = lookSoon
			if time.Since(looked) < lookLate {
				continue
			}
		case <-ctx.Done():
			timer.Stop()
			return
		}
		wait, looked = min(2*wait, lookSeldom), time.Now()
		n := len(m.host.Network().Peers())
		if n == 0 {
			continue // nobody to ask
		}
		// A record lies with the peers that were nearest when it was put; tell
		// again once there are many more of them.
		if n >= 2*size || time.Since(provided) > provideAgain {
			if m.provide(ctx, key) {
				size, provided = n, time.Now()
			}
		}
		m.look(ctx, key)
	}
}

// rendezvous is the key under which the members of this swarm list themselves.
func (m *Mesh) rendezvous() (cid.Cid, error) {
	name := "shoal rendezvous v1 open"
	if m.cfg.SwarmKey != nil {
		name = "shoal rendezvous v1 " + m.cfg.SwarmKey.Fingerprint()
	}
	hash, err := multihash.Sum([]byte(name), multihash.SHA2_256, -1)
	if err != nil {
		return cid.Undef, err
	}
	return cid.NewCidV1(cid.Raw, hash), nil
}

// provide lists this node under the key. Right after a connection the routing
// table may still be empty, which is an error to the DHT and none here.
func (m *Mesh) provide(ctx context.Context, key cid.Cid) bool {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	err := m.dht.Provide(ctx, key, true)
	if err != nil {
		m.log.Debug("listing this node in the DHT", zap.Error(err))
	}
	return err == nil
}

// look asks for those listed under the key, and for the nearest neighbours of
// this node, who may not be listed yet.
func (m *Mesh) look(ctx context.Context, key cid.Cid) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for p := range m.dht.FindProvidersAsync(ctx, key, 0) {
		m.hint(hint{AddrInfo: p})
	}
	near, err := m.dht.GetClosestPeers(ctx, string(m.host.ID()))
	if err != nil {
		m.log.Debug("looking for neighbours in the DHT", zap.Error(err))
	}
	for _, id := range near {
		m.hint(hint{AddrInfo: peer.AddrInfo{ID: id, Addrs: m.host.Peerstore().Addrs(id)}})
	}
}
