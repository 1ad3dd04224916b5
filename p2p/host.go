package p2p

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/routing"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Once there are more connections than the higher of these, those that the roster
// does not protect are trimmed to the lower. Roster peers come on top.
const (
	lowConns  = 96
	highConns = 192
)

// maxConnsPerIP is for one machine that runs many nodes, or a site behind one
// address. libp2p's own 8 (and 16 in a burst, then one in 5 s) exempt loopback,
// so that tests never meet them.
const maxConnsPerIP = 512

// newHost makes the host and its DHT, and listens; in a private swarm seen is told
// who comes.
//
// In private mode nothing may run without the key. libp2p has a switch for that,
// pnet.ForcePrivateNetwork, but it is one variable for the whole process: it
// would stop an open node beside a private one, and setting it while other hosts
// dial is a race. What it protects against is a host that was built without a
// key; so the key goes into the options here, in the one place that builds a
// host, along with the only transport that honours it, and requireTCP then
// checks the host that came out.
func newHost(cfg Config, seen *door) (host.Host, *dht.IpfsDHT, error) {
	limits, err := newLimits()
	if err != nil {
		return nil, nil, fmt.Errorf("making the resource limits: %w", err)
	}
	conns, err := connmgr.NewConnManager(cfg.trim.low, cfg.trim.high, connmgr.WithGracePeriod(cfg.trim.grace))
	if err != nil {
		return nil, nil, fmt.Errorf("making the connection manager: %w", err)
	}
	var kad *dht.IpfsDHT
	opts := []libp2p.Option{
		libp2p.Identity(cfg.Identity),
		libp2p.UserAgent("shoal"),
		libp2p.NoListenAddrs, // listen below, one by one, for errors that say which
		libp2p.ResourceManager(limits),
		libp2p.ConnectionManager(conns),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(), // they would go to the process's one registry
		libp2p.AddrsFactory(func(all []multiaddr.Multiaddr) []multiaddr.Multiaddr {
			return announced(all, cfg.Loopback)
		}),
		// Without SO_REUSEPORT, which lets a second node take the same port in
		// silence and receive half of the first one's connections.
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Routing(func(h host.Host) (routing.PeerRouting, error) {
			var err error
			kad, err = newDHT(h, cfg.SwarmKey != nil)
			return kad, err
		}),
	}
	if cfg.SwarmKey != nil {
		opts = append(opts,
			libp2p.PrivateNetwork(pnet.PSK(cfg.SwarmKey[:])),
			libp2p.ForceReachabilityPublic(), // asks nobody whether we are reachable
			libp2p.DisableIdentifyAddressDiscovery(),
			libp2p.ConnectionGater(seen),
		)
	} else {
		opts = append(opts, libp2p.Transport(quic.NewTransport))
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		return nil, nil, fmt.Errorf("making the libp2p host: %w", err)
	}
	if err := listen(h, cfg); err != nil {
		kad.Close()
		h.Close()
		return nil, nil, err
	}
	return h, kad, nil
}

func listen(h host.Host, cfg Config) error {
	sw, ok := h.Network().(*swarm.Swarm)
	if !ok {
		return fmt.Errorf("p2p: libp2p's network is a %T, not a swarm", h.Network())
	}
	if cfg.SwarmKey != nil {
		if err := requireTCP(sw); err != nil {
			return err
		}
	}
	for _, a := range cfg.Listen {
		err := sw.AddListenAddr(a)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("cannot listen on %s: another program, or another node, has that port: stop it, or choose another with --listen: %w", a, err)
		}
		if err != nil {
			return fmt.Errorf("cannot listen on %s: %w", a, err)
		}
	}
	return nil
}

// requireTCP fails if the host could speak anything that the key does not cover.
func requireTCP(sw *swarm.Swarm) error {
	for _, s := range []string{
		"/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/udp/1/quic-v1/webtransport",
		"/ip4/127.0.0.1/udp/1/webrtc-direct", "/ip4/127.0.0.1/tcp/1/ws",
	} {
		a := multiaddr.StringCast(s)
		if sw.TransportForListening(a) != nil || sw.TransportForDialing(a) != nil {
			return fmt.Errorf("p2p: the host of a private swarm has a transport for %s, which the swarm key does not protect", a)
		}
	}
	return nil
}

// announced picks the addresses to tell others: never link-local ones, and
// loopback only if asked to or if there is nothing else.
func announced(all []multiaddr.Multiaddr, loopback bool) []multiaddr.Multiaddr {
	var far, near []multiaddr.Multiaddr
	for _, a := range all {
		switch {
		case manet.IsIPUnspecified(a) || manet.IsIP6LinkLocal(a):
		case manet.IsIPLoopback(a):
			near = append(near, a)
		default:
			far = append(far, a)
		}
	}
	if loopback || len(far) == 0 {
		far = append(far, near...)
	}
	return far
}

// newLimits raises libp2p's limits to what a mesh of a hundred nodes on a small
// machine, or behind one address, needs; they still bound a flood.
func newLimits() (network.ResourceManager, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	limits.SystemBaseLimit.Conns = max(limits.SystemBaseLimit.Conns, 1024)
	limits.SystemBaseLimit.ConnsInbound = max(limits.SystemBaseLimit.ConnsInbound, 768)
	limits.SystemBaseLimit.ConnsOutbound = max(limits.SystemBaseLimit.ConnsOutbound, 768)
	limits.SystemBaseLimit.FD = max(limits.SystemBaseLimit.FD, 1024)
	limits.SystemBaseLimit.Streams = max(limits.SystemBaseLimit.Streams, 16<<10)
	limits.SystemBaseLimit.StreamsInbound = max(limits.SystemBaseLimit.StreamsInbound, 8<<10)
	limits.SystemBaseLimit.StreamsOutbound = max(limits.SystemBaseLimit.StreamsOutbound, 8<<10)
	limits.TransientBaseLimit.Conns = max(limits.TransientBaseLimit.Conns, 256)
	limits.TransientBaseLimit.ConnsInbound = max(limits.TransientBaseLimit.ConnsInbound, 128)
	limits.TransientBaseLimit.ConnsOutbound = max(limits.TransientBaseLimit.ConnsOutbound, 128)
	limits.TransientBaseLimit.FD = max(limits.TransientBaseLimit.FD, 256)

	unlimited := rate.Limit{}
	perIP := rate.Limit{RPS: 50, Burst: maxConnsPerIP}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.AutoScale()),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithNetworkPrefixLimit(
			[]rcmgr.NetworkPrefixLimit{{Network: netip.MustParsePrefix("127.0.0.0/8"), ConnCount: math.MaxInt}},
			[]rcmgr.NetworkPrefixLimit{{Network: netip.MustParsePrefix("::1/128"), ConnCount: math.MaxInt}}),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: maxConnsPerIP}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: maxConnsPerIP}}),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: []rate.PrefixLimit{
				{Prefix: netip.MustParsePrefix("127.0.0.0/8"), Limit: unlimited},
				{Prefix: netip.MustParsePrefix("::1/128"), Limit: unlimited},
			},
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: perIP}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: perIP}},
				GracePeriod:      time.Minute,
			},
		}),
	)
}

// newDHT makes the swarm's own DHT, apart from the public one of IPFS. Every
// node serves it, and no address is too private for it: a swarm may live on one
// LAN, or on one machine.
//
// In a private swarm it speaks the protocol of the DHT that every Kubo keeps for
// its local network, so that one that has the swarm's key and knows one member
// finds what any member keeps, and members what it keeps. In an open swarm that
// would join it to the IPFS nodes that happen to be on the same LAN.
func newDHT(h host.Host, private bool) (*dht.IpfsDHT, error) {
	protocol := []dht.Option{dht.ProtocolPrefix("/shoal")}
	if private {
		protocol = []dht.Option{dht.ProtocolPrefix("/ipfs"), dht.ProtocolExtension("/lan")}
	}
	return dht.New(h, append(protocol,
		dht.Mode(dht.ModeServer),
		dht.Datastore(newDHTRecords()),
		dht.AddressFilter(nil),
		dht.QueryFilter(func(any, peer.AddrInfo) bool { return true }),
		dht.RoutingTableFilter(func(any, peer.ID) bool { return true }),
		dht.RoutingTablePeerDiversityFilter(nil),
	)...)
}
