package p2p

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// ErrSwarmKey means that something listens at a peer's address but does not
// understand this node's swarm key.
var ErrSwarmKey = errors.New("wrong or missing swarm key")

const (
	dialTimeout  = 10 * time.Second
	knockTimeout = time.Second
)

// Connect connects to a peer, once, within the context and ten seconds. Its
// error says what is wrong as far as can be told, e.g. ErrSwarmKey. Peers that
// are to be kept belong in Config.Bootstrap instead.
func (m *Mesh) Connect(ctx context.Context, p peer.AddrInfo) error {
	if err := m.dial(ctx, p); err != nil {
		return fmt.Errorf("connecting to peer %s: %w", p.ID, m.explain(ctx, p, err))
	}
	return nil
}

// dial connects over the swarm rather than the host, whose routing would ask the
// DHT for more addresses before it admitted failure.
func (m *Mesh) dial(ctx context.Context, p peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	m.host.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.TempAddrTTL)
	if sw, ok := m.host.Network().(*swarm.Swarm); ok {
		sw.Backoff().Clear(p.ID) // there is a back-off already, in seek
	}
	_, err := m.host.Network().DialPeer(ctx, p.ID)
	return err
}

// explain adds to a dial's error what it means. In a private swarm a peer with
// another key, or none, gives no error of its own, just silence or a reset: what
// shows it is that the same address takes a plain TCP connection.
func (m *Mesh) explain(ctx context.Context, p peer.AddrInfo, err error) error {
	var other sec.ErrPeerIDMismatch
	switch {
	case errors.As(err, &other):
		return fmt.Errorf("peer %s answers there instead: use its ID, or the right address: %w", other.Actual, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens there: is that node running, and is the port right? %w", err)
	case m.cfg.SwarmKey == nil:
		return err
	}
	// The caller's time may be what has run out, and it is worth one second more.
	ctx = context.WithoutCancel(ctx)
	for _, a := range p.Addrs {
		if knock(ctx, a) == nil {
			return fmt.Errorf("%w: something listens at %s but does not speak with the key of swarm %s: join that swarm with a token, or check the address: %w",
				ErrSwarmKey, a, m.cfg.SwarmKey.Fingerprint(), err)
		}
	}
	return err
}

// refused knocks at addresses where a peer used to listen. That one of them
// refuses now means that its process is gone: a cut network does not answer.
func refused(ctx context.Context, proven []multiaddr.Multiaddr) bool {
	for _, a := range proven {
		if errors.Is(knock(ctx, a), syscall.ECONNREFUSED) {
			return true
		}
	}
	return false
}

// knock opens a TCP connection to an address and closes it.
func knock(ctx context.Context, a multiaddr.Multiaddr) error {
	network, host, err := manet.DialArgs(a)
	if err != nil {
		return err
	}
	if network != "tcp4" && network != "tcp6" && network != "tcp" {
		return fmt.Errorf("%s is not TCP", a)
	}
	d := net.Dialer{Timeout: knockTimeout}
	c, err := d.DialContext(ctx, network, host)
	if err != nil {
		return err
	}
	return c.Close()
}
