package p2p

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
)

const (
	maxProbed    = 8               // addresses of one peer
	probeTimeout = 3 * time.Second // for each; they are tried side by side
)

// Probed is what came of a fresh connection to one address of a peer: nil, or in
// one line what is wrong and what to do (see Connect).
type Probed struct {
	Addr multiaddr.Multiaddr
	Err  error
}

// Probe tries the addresses of a peer one by one with a connection of its own to
// each, whether the peer is connected or not, and closes it again: the peer there
// has proved its ID and, in a private swarm, that it has the key. It takes three
// seconds at most, and looks at eight addresses.
func (m *Mesh) Probe(ctx context.Context, p peer.AddrInfo) []Probed {
	out := make([]Probed, min(len(p.Addrs), maxProbed))
	var wg sync.WaitGroup
	for i := range out {
		wg.Go(func() {
			out[i].Addr = p.Addrs[i]
			err := m.probe(ctx, p.ID, p.Addrs[i])
			if err != nil && ctx.Err() == nil {
				one := peer.AddrInfo{ID: p.ID, Addrs: p.Addrs[i : i+1]}
				err = m.explain(ctx, one, &swarm.DialError{Peer: p.ID, DialErrors: []swarm.TransportError{{Address: p.Addrs[i], Cause: err}}})
			}
			out[i].Err = err
		})
	}
	wg.Wait()
	return out
}

func (m *Mesh) probe(ctx context.Context, id peer.ID, a multiaddr.Multiaddr) error {
	sw, ok := m.host.Network().(*swarm.Swarm)
	if !ok {
		return errors.New("this host cannot be asked for single addresses")
	}
	t := sw.TransportForDialing(a)
	if t == nil || !t.CanDial(a) {
		return fmt.Errorf("%s is no address that this node can dial", a)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	c, err := t.Dial(ctx, a, id)
	if err != nil {
		return err
	}
	return c.Close()
}
