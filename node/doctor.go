package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

const (
	askedPeers   = 32               // whose clocks are compared and whose addresses are tried
	askedToReach = 3                // that try to reach this node
	askTime      = 8 * time.Second  // for all of it: a probe takes three seconds
	skewed       = 30 * time.Second // that clocks may differ before doctor warns
	lull         = time.Minute      // without a standing bid of anybody, which are sent every few seconds
)

// Doctor implements api.Swarm: what is wrong, or may be, with this node, its
// machine and its peers.
func (b *backend) Doctor(ctx context.Context) api.Report {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	cfg := b.cfg
	var r api.Report
	add := func(c ...api.Check) { r.Checks = append(r.Checks, c...) }
	add(api.Check{Name: "node", Status: api.OK, Message: fmt.Sprintf("peer %s runs, version %s", b.mesh.Host().ID(), cfg.Version)})
	add(machineChecks(cfg, b.dir)...)
	add(b.engineCheck())
	add(b.listenChecks()...)

	add(b.namedChecks()...)
	others := b.mesh.Roster().Others()
	if len(others) == 0 {
		add(b.aloneCheck())
		return r
	}
	slices.SortFunc(others, func(x, y p2p.Peer) int { return y.Seen.Compare(x.Seen) }) // those that answer first
	var reach, clocks, peers []api.Check
	var wg sync.WaitGroup
	wg.Go(func() { reach = b.reachChecks(ctx, others) })
	wg.Go(func() { clocks = b.clockChecks(ctx, others[:min(len(others), askedPeers)]) })
	wg.Go(func() { peers = b.peerChecks(ctx, others[:min(len(others), askedPeers)]) })
	wg.Wait()
	add(reach...)
	add(clocks...)
	add(peers...)
	if n := len(others) - askedPeers; n > 0 {
		add(api.Check{Name: "peers", Status: api.OK, Message: fmt.Sprintf("%d more peers were not looked at", n)})
	}
	add(b.gossipCheck())
	return r
}

// engineCheck is what came of the self-test at the start.
func (b *backend) engineCheck() api.Check {
	o := b.offer.Load()
	switch {
	case o == nil:
		return api.Check{Name: "engine", Status: api.OK, Message: "it is still being tested"}
	case len(o.Engines) == 0:
		return api.Check{Name: "engine", Status: api.Problem, Message: strings.Join(o.Missing, "; "), Next: "look into the node's log, and whether its home's file system may hold programs (noexec)"}
	}
	return api.Check{Name: "engine", Status: api.OK, Message: "a program was run with " + strings.Join(o.Engines, ", ")}
}

// listenChecks are where the node listens, and what a firewall has to let through.
func (b *backend) listenChecks() []api.Check {
	ports := map[string]bool{}
	var at []string
	outside := false
	for _, a := range b.mesh.Addrs() {
		bare, _ := peer.SplitAddr(a)
		if bare == nil {
			continue
		}
		at = append(at, bare.String())
		outside = outside || !manet.IsIPLoopback(bare)
		if p, err := bare.ValueForProtocol(multiaddr.P_TCP); err == nil {
			ports[p] = true
		}
	}
	checks := []api.Check{{Name: "listen", Status: api.OK, Message: "peers are taken at " + strings.Join(at, ", ")}}
	if len(at) == 0 {
		checks[0] = api.Check{Name: "listen", Status: api.Problem, Message: "the node listens at no address of this machine", Next: "is its network up? See --listen"}
	}
	checks = append(checks, api.Check{Name: "api", Status: api.OK, Message: "machines join at " + b.api.String()})
	_, apiPort, _ := net.SplitHostPort(b.api.String())
	if !outside {
		return append(checks, api.Check{Name: "firewall", Status: api.OK, Message: "the node is on loopback, where no other machine reaches it"})
	}
	open := slices.Sorted(maps.Keys(ports))
	return append(checks, api.Check{Name: "firewall", Status: api.OK, Message: fmt.Sprintf("other machines need TCP %s (HTTP, to join) and %s (peers) of this one", apiPort, strings.Join(open, ", "))})
}

// namedChecks are the peers that the operator named and that cannot be connected
// to.
func (b *backend) namedChecks() (out []api.Check) {
	for _, f := range b.mesh.Failing() {
		c := api.Check{Name: "named", About: "peer " + job.PeerID(f.ID.String()).Short(), Status: api.Warning,
			Message: fmt.Sprintf("%d attempts in %s came to nothing: %s", f.Tries, time.Since(f.Since).Round(time.Second), api.Plain(f.Err.Error()))}
		if errors.Is(f.Err, p2p.ErrSwarmKey) {
			c.Status, c.Next = api.Problem, "it is in another swarm than this node; join that one with a home of its own, or name another peer"
		}
		out = append(out, c)
	}
	return out
}

func (b *backend) aloneCheck() api.Check {
	c := api.Check{Name: "peers", Status: api.OK, Message: "there is no other peer"}
	if b.key != nil {
		c.Next = "let a machine in with the line that this prints: node token create"
	}
	return c
}

// reachChecks have a few peers try to reach this node.
func (b *backend) reachChecks(ctx context.Context, others []p2p.Peer) []api.Check {
	_, p, _ := net.SplitHostPort(b.api.String())
	port, _ := strconv.Atoi(p)
	asked := others[:min(len(others), askedToReach)]
	got := make([]api.Reach, len(asked))
	errs := make([]error, len(asked))
	var wg sync.WaitGroup
	for i, o := range asked {
		wg.Go(func() {
			var c *api.Client
			if c, errs[i] = b.own.peer(job.PeerID(o.ID.String())); errs[i] == nil {
				got[i], errs[i] = c.Reach(ctx, api.ReachRequest{API: port})
			}
		})
	}
	wg.Wait()
	var reach api.Reach
	answered := 0
	for i := range got {
		if errs[i] == nil {
			answered++
			reach.Peers = append(reach.Peers, got[i].Peers...)
			reach.API = append(reach.API, got[i].API...)
		}
	}
	if answered == 0 {
		return []api.Check{{Name: "reach", Status: api.Warning, Message: "no peer could be asked whether it reaches this node: " + api.Plain(errors.Join(errs...).Error())}}
	}
	peers := reachCheck("reach", "peers", reach.Peers, answered)
	return []api.Check{peers, reachCheck("reach", "api", reach.API, answered)}
}

// reachCheck sums up what came of one kind of address.
func reachCheck(name, about string, tried []api.Reached, by int) api.Check {
	var at, not []string
	for _, t := range tried {
		if t.Error == "" && !slices.Contains(at, t.Addr) {
			at = append(at, t.Addr)
		} else if t.Error != "" && len(not) < 3 {
			not = append(not, t.Addr+": "+t.Error)
		}
	}
	c := api.Check{Name: name, About: about, Status: api.OK, Message: fmt.Sprintf("reached at %s, by %s", strings.Join(at, ", "), count(by, "peer"))}
	if len(at) > 0 {
		return c
	}
	c.Status, c.Message = api.Warning, fmt.Sprintf("%s tried to open a connection to this node and failed: %s", count(by, "peer"), strings.Join(not, "; "))
	c.Next = "let the port through every firewall on the way to this machine; the check firewall names it"
	if about == "api" {
		c.Message = strings.Replace(c.Message, "this node", "this node's HTTP API", 1) + ". Machines cannot join through it"
	}
	return c
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// skew is by how much a peer's clock is ahead of this node's, give or take half a
// round trip.
type skew struct {
	id  job.PeerID
	by  time.Duration
	rtt time.Duration
	err error
}

// clockChecks compare the wall clocks of peers with this node's.
func (b *backend) clockChecks(ctx context.Context, others []p2p.Peer) []api.Check {
	skews := make([]skew, len(others))
	var wg sync.WaitGroup
	for i, o := range others {
		wg.Go(func() { skews[i] = b.skew(ctx, job.PeerID(o.ID.String())) })
	}
	wg.Wait()
	var out []api.Check
	compared := 0
	widest := time.Duration(0)
	for _, s := range skews {
		if s.err != nil {
			continue // whether a peer answers is another check
		}
		compared++
		widest = max(widest, s.by.Abs())
		if s.by.Abs() <= skewed+s.rtt/2 {
			continue
		}
		word := "ahead of"
		if s.by < 0 {
			word = "behind"
		}
		out = append(out, api.Check{Name: "clock", About: "peer " + s.id.Short(), Status: api.Warning,
			Message: fmt.Sprintf("the clock of peer %s is %s %s that of this node, peer %s", s.id.Short(), s.by.Abs().Round(time.Second), word, job.PeerID(b.mesh.Host().ID().String()).Short()),
			Next:    "set the one that is wrong (NTP does it by itself): join tokens expire by it, and nothing else does"})
	}
	if compared == 0 {
		return []api.Check{{Name: "clock", Status: api.Warning, Message: "no peer could be asked what time it is", Next: "look at the checks of the peers"}}
	}
	if len(out) == 0 {
		return []api.Check{{Name: "clock", Status: api.OK, Message: fmt.Sprintf("within %s of %s", max(widest, time.Millisecond).Round(time.Millisecond), count(compared, "peer"))}}
	}
	if compared > 1 && len(out) == compared {
		out[0].Next = "all peers differ from this node: " + out[0].Next
	}
	return out
}

func (b *backend) skew(ctx context.Context, id job.PeerID) skew {
	c, err := b.own.peer(id)
	if err != nil {
		return skew{id: id, err: err}
	}
	began := time.Now() // of which the monotonic part counts
	mine := b.cfg.now()
	theirs, err := c.Clock(ctx)
	rtt := time.Since(began)
	return skew{id: id, by: theirs.Sub(mine.Add(rtt / 2)), rtt: rtt, err: err}
}

// peerChecks try the addresses that peers announce.
func (b *backend) peerChecks(ctx context.Context, others []p2p.Peer) []api.Check {
	out := make([]api.Check, len(others))
	var wg sync.WaitGroup
	for i, o := range others {
		wg.Go(func() {
			out[i] = peerCheck(o, b.mesh.Probe(ctx, peer.AddrInfo{ID: o.ID, Addrs: o.Addrs}), b.mesh.Host().Network().Connectedness(o.ID) == network.Connected)
		})
	}
	wg.Wait()
	return out
}

func peerCheck(p p2p.Peer, tried []p2p.Probed, connected bool) api.Check {
	c := api.Check{Name: "peer", About: "peer " + job.PeerID(p.ID.String()).Short(), Status: api.OK}
	trip := "no round trip measured yet"
	if p.RTT > 0 {
		trip = "round trip " + p.RTT.Round(10*time.Microsecond).String()
	}
	var at, not []string
	for _, t := range tried {
		if t.Err == nil {
			at = append(at, t.Addr.String())
		} else {
			not = append(not, t.Addr.String()+": "+api.Plain(t.Err.Error()))
		}
	}
	heard := fmt.Sprintf("%s, heard %s ago", trip, time.Since(p.Seen).Round(100*time.Millisecond))
	switch {
	case len(at) > 0:
		c.Message = fmt.Sprintf("answers at %s; %s", strings.Join(at, ", "), heard)
		if len(not) > 0 {
			c.Message += fmt.Sprintf("; not at %s", strings.Join(not, "; "))
		}
	case connected:
		c.Status, c.Message = api.Warning, fmt.Sprintf("is connected, and a new connection to it fails: %s; %s", strings.Join(not, "; "), heard)
		c.Next = "look at that machine, and at the firewalls on the way to it"
	default:
		c.Status, c.Message = api.Warning, fmt.Sprintf("does not answer: %s; %s", strings.Join(not, "; "), heard)
		c.Next = "look at that machine, and at the firewalls on the way to it"
	}
	return c
}

// gossipCheck is whether anything came in over gossip lately.
func (b *backend) gossipCheck() api.Check {
	at := b.heard()
	c := api.Check{Name: "gossip", Status: api.OK}
	switch {
	case at.IsZero():
		c.Status, c.Message, c.Next = api.Warning, "no standing bid of a peer has come in yet", "wait some seconds; if it stays so, look at the checks of the peers"
	case time.Since(at) > lull:
		c.Status, c.Message, c.Next = api.Warning, fmt.Sprintf("the last standing bid of a peer came in %s ago", time.Since(at).Round(time.Second)), "look at the checks of the peers"
	default:
		c.Message = fmt.Sprintf("the last standing bid of a peer came in %s ago", time.Since(at).Round(100*time.Millisecond))
	}
	return c
}

// tcpAddress is the host:port of a listen multiaddr over TCP.
func tcpAddress(s string) (string, bool) {
	a, err := multiaddr.NewMultiaddr(s)
	if err != nil {
		return "", false
	}
	network, at, err := manet.DialArgs(a)
	return at, err == nil && strings.HasPrefix(network, "tcp")
}
