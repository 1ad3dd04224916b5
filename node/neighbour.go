package node

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/time/rate"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// neighbour is what this node does for a peer that examines itself: it says what
// time it is, and tries to reach the caller at the addresses that the caller
// announces. These it would dial anyway; nobody can have it dial others, and
// for all peers together it does so a few times a second at most.
type neighbour struct {
	cfg   Config
	mesh  *p2p.Mesh
	tries *rate.Limiter
}

const (
	triesPerSecond = 2
	triesAtOnce    = 20
)

func newNeighbour(cfg Config, mesh *p2p.Mesh) *neighbour {
	return &neighbour{cfg: cfg, mesh: mesh, tries: rate.NewLimiter(triesPerSecond, triesAtOnce)}
}

func (n *neighbour) Now() time.Time { return n.cfg.now() }

func (n *neighbour) Reach(ctx context.Context, caller job.PeerID, r api.ReachRequest) (api.Reach, error) {
	id, err := peer.Decode(string(caller))
	if err != nil {
		return api.Reach{}, api.Errorf(api.CodeForbidden, "only a peer can be reached: %w", err)
	}
	p, here := n.mesh.Roster().Get(id)
	if !here {
		return api.Reach{}, api.Errorf(api.CodeUnavailable, "this node has not heard yet which addresses peer %s announces; ask again shortly", caller.Short())
	}
	if !n.tries.Allow() {
		e := api.Errorf(api.CodeRateLimited, "this node has tried to reach many peers just now; ask again shortly")
		e.RetryAfter = time.Second
		return api.Reach{}, e
	}
	var out api.Reach
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, t := range n.mesh.Probe(ctx, peer.AddrInfo{ID: id, Addrs: p.Addrs}) {
			out.Peers = append(out.Peers, reached(t.Addr.String(), t.Err))
		}
	})
	if r.API != 0 {
		out.API = reachAPI(ctx, caller, apiAddrs(p, r.API))
	}
	wg.Wait()
	return out, nil
}

// apiAddrs are where the HTTP API of a peer is if its port is the one given.
func apiAddrs(p p2p.Peer, port int) (all []string) {
	const most = 4
	for _, a := range p.Addrs {
		ip, err := manet.ToIP(a)
		if err != nil {
			continue
		}
		at := net.JoinHostPort(ip.String(), strconv.Itoa(port))
		if !slices.Contains(all, at) && len(all) < most {
			all = append(all, at)
		}
	}
	return all
}

// reachAPI asks whoever answers HTTP at each address whether it is the peer.
func reachAPI(ctx context.Context, id job.PeerID, addrs []string) []api.Reached {
	out := make([]api.Reached, len(addrs))
	var wg sync.WaitGroup
	for i, at := range addrs {
		wg.Go(func() {
			said, err := api.FetchID(ctx, "http://"+at)
			if err == nil && said.Peer != string(id) {
				err = fmt.Errorf("peer %s answers there", said.Peer)
			}
			out[i] = reached(at, err)
		})
	}
	wg.Wait()
	return out
}

func reached(addr string, err error) api.Reached {
	r := api.Reached{Addr: addr}
	if err != nil {
		r.Error = api.Plain(err.Error())
	}
	return r
}
