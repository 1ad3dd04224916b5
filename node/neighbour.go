package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/time/rate"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// neighbour is what this node does for a peer that examines itself: it says what
// time it is, and tries to reach the caller where its connections come from. What
// a peer announces besides, it may announce to have this node find out for it what
// is in this node's network, or on its machine. For all peers together it tries a
// few times a second at most.
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
	seen := n.seenAt(id)
	var out api.Reach
	var wg sync.WaitGroup
	wg.Go(func() {
		near := slices.DeleteFunc(slices.Clone(p.Addrs), func(a multiaddr.Multiaddr) bool {
			ip, err := manet.ToIP(a)
			return err != nil || !slices.Contains(seen, ip.String())
		})
		for _, t := range n.mesh.Probe(ctx, peer.AddrInfo{ID: id, Addrs: near}) {
			out.Peers = append(out.Peers, reached(t.Addr.String(), t.Err))
		}
		if len(near) == 0 {
			for _, ip := range seen {
				out.Peers = append(out.Peers, reached(ip, errElsewhere))
			}
		}
	})
	if r.API != 0 {
		var at []string
		for _, ip := range seen {
			at = append(at, net.JoinHostPort(ip, strconv.Itoa(r.API)))
		}
		out.API = reachAPI(ctx, caller, at)
	}
	wg.Wait()
	return out, nil
}

var errElsewhere = errors.New("connections come from there, and no address with this IP is announced (is there a NAT between?); nothing else was tried")

// seenAt are the IPs at which connections show a peer to be.
func (n *neighbour) seenAt(id peer.ID) (ips []string) {
	const most = 4
	for _, c := range n.mesh.Host().Network().ConnsToPeer(id) {
		if ip, err := manet.ToIP(c.RemoteMultiaddr()); err == nil && len(ips) < most && !slices.Contains(ips, ip.String()) {
			ips = append(ips, ip.String())
		}
	}
	return ips
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
