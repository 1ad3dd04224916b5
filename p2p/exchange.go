package p2p

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// Peer exchange: who answers a hello adds some of the peers that it is in touch
// with, so that any one live peer leads a newcomer to the others within a round
// trip, where gossip and the DHT take seconds. From each of those it hears of
// more, which fills the roster of a large swarm in a few rounds.
const (
	exchangePeers = 32 // told in one answer, drawn at random if there are more
	exchangeAddrs = 4  // of each
	exchangeLimit = 48 << 10
)

// exchangeWire is the frame that follows the announcement in the answer.
type exchangeWire struct {
	Peers []exchangedPeer `cbor:"0,keyasint,omitempty"`
}

type exchangedPeer struct {
	ID    []byte   `cbor:"0,keyasint"`
	Addrs [][]byte `cbor:"1,keyasint"`
}

// acquaintances are peers that have spoken to this node themselves, at random,
// with the addresses that are the likeliest to work first.
func (r *Roster) acquaintances(except peer.ID) []peer.AddrInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []peer.AddrInfo
	for id, e := range r.peers {
		if !e.Self && id != except && len(e.Addrs) > 0 {
			out = append(out, peer.AddrInfo{ID: id, Addrs: e.Addrs[:min(len(e.Addrs), exchangeAddrs)]})
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:min(len(out), exchangePeers)]
}

func sendExchange(w io.Writer, peers []peer.AddrInfo) error {
	var x exchangeWire
	for _, p := range peers {
		x.Peers = append(x.Peers, exchangedPeer{ID: []byte(p.ID), Addrs: encodeAddrs(p.Addrs)})
	}
	b, err := encMode.Marshal(x)
	if err != nil {
		return fmt.Errorf("telling of other peers: %w", err)
	}
	return writeFrame(w, b)
}

// receiveExchange reads what sendExchange wrote. A peer that tells of nobody, as
// other versions may, is in order.
func receiveExchange(r io.Reader) ([]peer.AddrInfo, error) {
	b, err := readFrame(r, exchangeLimit)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("receiving of other peers: %w", err)
	}
	var x exchangeWire
	if err := decMode.Unmarshal(b, &x); err != nil {
		return nil, fmt.Errorf("other peers: %w", err)
	}
	if len(x.Peers) > exchangePeers {
		return nil, fmt.Errorf("%d other peers are more than %d", len(x.Peers), exchangePeers)
	}
	var out []peer.AddrInfo
	for _, p := range x.Peers {
		id, err := peer.IDFromBytes(p.ID)
		if err != nil {
			return nil, fmt.Errorf("other peers: %w", err)
		}
		var addrs []multiaddr.Multiaddr
		if addrs, err = decodeAddrs(p.Addrs); err != nil {
			return nil, fmt.Errorf("other peers: %w", err)
		}
		out = append(out, peer.AddrInfo{ID: id, Addrs: addrs[:min(len(addrs), exchangeAddrs)]})
	}
	return out, nil
}
