package p2p

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// hint says that a peer may be worth a connection. It is all that what others
// tell of peers leads to: who a peer is, its own connection proves.
type hint struct {
	peer.AddrInfo
	// alive says that it was heard of just now, rather than read from a record
	// that may be a day old. It is tried again even after it failed.
	alive bool
	// first says that the peer has not been told of this node, so that there is
	// no need to wait for it to dial.
	first bool
}

// hint passes one on. A full queue drops it: the loops look for themselves.
func (m *Mesh) hint(h hint) {
	h.Addrs = m.dialable(h.Addrs)
	if h.ID == m.host.ID() || len(h.Addrs) == 0 {
		return
	}
	select {
	case m.found <- h:
	default:
	}
}

// dialable drops the addresses of others that are not to be tried. Names would
// ask a name server for what a peer wants asked; and loopback is this machine,
// where a peer that says so has no business, unless this node is found there too.
func (m *Mesh) dialable(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	var out []multiaddr.Multiaddr
	local := slices.ContainsFunc(append(m.addrs(), m.cfg.Listen...), manet.IsIPLoopback)
	for _, a := range addrs {
		if ip, err := manet.ToIP(a); err != nil || ip.IsUnspecified() || ip.IsMulticast() || ip.IsLoopback() && !local {
			continue
		}
		if m.cfg.SwarmKey != nil && !plainTCP(a) {
			continue
		}
		out = append(out, a)
	}
	return out[:min(len(out), maxAddrs)]
}
