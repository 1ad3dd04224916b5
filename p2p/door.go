package p2p

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"go.uber.org/zap"
)

const (
	// provesWithin is how long a connection may take until it has shown the key.
	// libp2p closes it after 15 s.
	provesWithin = 16 * time.Second
	doorEvery    = 5 * time.Second
	tellAgain    = time.Hour
	maxAtDoor    = 1024 // of whatever a door remembers
)

// door takes note of the machines that connect to a node of a private swarm and
// never show its key. libp2p closes such connections without a word; whoever runs
// the node, and wonders why another one does not join, should have one. It turns
// nobody away, which the key does, and is libp2p's gater only to see.
type door struct {
	mu      sync.Mutex
	waiting map[string]arrival       // by remote address
	members map[netip.Addr]time.Time // where the key was shown, and when last
	told    map[netip.Addr]time.Time
}

type arrival struct {
	ip netip.Addr
	at time.Time
}

func newDoor() *door {
	return &door{waiting: make(map[string]arrival), members: make(map[netip.Addr]time.Time), told: make(map[netip.Addr]time.Time)}
}

// strangers are the addresses that are to be told of now: somebody came from there
// who did not show the key in time, no member ever came from there or was met
// there, and they were not told of lately. Members knock without a word, too.
func (d *door) strangers(now time.Time) []netip.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []netip.Addr
	for from, a := range d.waiting {
		if now.Sub(a.at) < provesWithin {
			continue
		}
		delete(d.waiting, from)
		_, member := d.members[a.ip]
		if last, told := d.told[a.ip]; member || told && now.Sub(last) < tellAgain {
			continue
		}
		makeRoom(d.told)
		d.told[a.ip] = now
		out = append(out, a.ip)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// watchDoor tells of strangers until ctx ends.
func (m *Mesh) watchDoor(ctx context.Context) {
	if m.door == nil {
		return
	}
	tick := time.NewTicker(doorEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for _, ip := range m.door.strangers(now) {
				m.log.Warn("a machine without this swarm's key connects to the port of its peers: a node that has another key or none, or no node at all; "+
					"if it is to join, start it with a token", zap.Stringer("ip", ip))
			}
		case <-ctx.Done():
			return
		}
	}
}

// InterceptAccept is libp2p's call for every connection that comes in.
func (d *door) InterceptAccept(c network.ConnMultiaddrs) bool {
	if ip, ok := remoteIP(c); ok {
		d.mu.Lock()
		defer d.mu.Unlock()
		makeRoom(d.waiting)
		d.waiting[c.RemoteMultiaddr().String()] = arrival{ip, time.Now()}
	}
	return true
}

// InterceptSecured is libp2p's call once both sides have shown the key.
func (d *door) InterceptSecured(_ network.Direction, _ peer.ID, c network.ConnMultiaddrs) bool {
	if ip, ok := remoteIP(c); ok {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.waiting, c.RemoteMultiaddr().String())
		makeRoom(d.members)
		d.members[ip] = time.Now()
	}
	return true
}

func remoteIP(c network.ConnMultiaddrs) (netip.Addr, bool) {
	ip, err := manet.ToIP(c.RemoteMultiaddr())
	if err != nil {
		return netip.Addr{}, false
	}
	a, ok := netip.AddrFromSlice(ip)
	return a.Unmap(), ok
}

// makeRoom forgets any one entry of a map that is full.
func makeRoom[K comparable, V any](m map[K]V) {
	if len(m) < maxAtDoor {
		return
	}
	for k := range m {
		delete(m, k)
		return
	}
}

// The other calls that a gater has to take.
func (*door) InterceptPeerDial(peer.ID) bool                                  { return true }
func (*door) InterceptAddrDial(peer.ID, multiaddr.Multiaddr) bool             { return true }
func (*door) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
