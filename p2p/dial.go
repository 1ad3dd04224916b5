package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Why a peer cannot be connected to; test with errors.Is. Whatever else may be
// wrong, the text says what to do.
var (
	// ErrSwarmKey means that what listens at a peer's address closed the
	// connection or answered nonsense before it had proved who it is: it does not
	// have this node's swarm key.
	ErrSwarmKey = errors.New("wrong or missing swarm key")
	// ErrSilent means that nothing came back. That can be the key as well: a node
	// takes what it cannot read for the beginning of something long, and waits. The
	// text says so, unless the peer was a member of this swarm before.
	ErrSilent = errors.New("it does not answer")
)

const (
	dialTimeout  = 10 * time.Second
	knockTimeout = time.Second
)

// Connect connects to a peer, once, within the context and ten seconds. Its
// error says in one line what is wrong as far as can be told, e.g. ErrSwarmKey or
// ErrSilent, and what to do. Peers that are to be kept belong in Config.Bootstrap
// instead.
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
	ctx, giveUp := context.WithCancelCause(ctx)
	var looking sync.WaitGroup
	defer looking.Wait()
	defer giveUp(nil)
	looking.Go(func() {
		if pause(ctx, greetAfter) {
			if err := m.foreignAt(ctx, p); err != nil {
				giveUp(err)
			}
		}
	})
	_, err := m.host.Network().DialPeer(ctx, p.ID)
	var key *keyError
	if err != nil && errors.As(context.Cause(ctx), &key) {
		return key
	}
	return err
}

// explain says what a dial's error means. In a private swarm a peer with another
// key, or none, gives no error of its own, just silence or an end of the
// connection: what shows it is that the same address takes a plain TCP connection.
func (m *Mesh) explain(ctx context.Context, p peer.AddrInfo, err error) error {
	var other sec.ErrPeerIDMismatch
	var key *keyError
	why := inOneLine(err)
	if errors.As(err, &other) {
		return fmt.Errorf("peer %s answers there instead (%w): use its ID, or the right address", other.Actual, why)
	}
	if errors.As(err, &key) {
		return m.otherKey(key.at, why)
	}
	if errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, network.ErrResourceLimitExceeded) {
		return why
	}
	// The caller's time may be what has run out, and it is worth one second more.
	ctx = context.WithoutCancel(ctx)
	silent := false
	for _, f := range failures(p, err) {
		switch {
		case hungUp(f.err):
			return m.foreign(p.ID, f.addr, why)
		case errors.Is(f.err, syscall.ECONNREFUSED) || refuses(ctx, f.addr):
		case timedOut(f.err) && errors.As(m.greets(ctx, f.addr), &key):
			return m.otherKey(f.addr, why)
		case timedOut(f.err):
			silent = true
		default: // it has answered, but not what a peer says
			return m.foreign(p.ID, f.addr, why)
		}
	}
	switch {
	case silent:
		return m.silent(p.ID, why)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens there (%w): is that node running, and is the port right?", why)
	case timedOut(err):
		return fmt.Errorf("%w (%w): is that machine on, is the address right, and does every firewall between let the port through?", ErrSilent, why)
	}
	return fmt.Errorf("%w: check the address, and whether that node is running", why)
}

// foreign is the error of an address that takes connections and ends them. So does
// a peer that was met before, while its process ends.
func (m *Mesh) foreign(id peer.ID, at multiaddr.Multiaddr, why error) error {
	if m.metBefore(id) {
		return fmt.Errorf("the peer at %s hung up (%w): it may be stopping or starting; look at that machine if this goes on", at, why)
	}
	return m.otherKey(at, why)
}

func (m *Mesh) otherKey(at multiaddr.Multiaddr, why error) error {
	if m.cfg.SwarmKey == nil {
		return fmt.Errorf("%w: this node has none, and what listens at %s does not speak without (%w): join that swarm with a token, or check the address",
			ErrSwarmKey, at, why)
	}
	return fmt.Errorf("%w: what listens at %s does not speak with the key of swarm %s (%w): join that swarm with a token, or check the address",
		ErrSwarmKey, at, m.cfg.SwarmKey.Fingerprint(), why)
}

// silent is the error of an address that takes connections and says nothing. A
// peer that was met before had the right key, and is not suspected of another.
func (m *Mesh) silent(id peer.ID, why error) error {
	if m.metBefore(id) {
		return fmt.Errorf("%w (frozen, overloaded, or cut off by a firewall) (%w): see how that machine is doing, or try again later", ErrSilent, why)
	}
	key := "needs a swarm key, and this node has none"
	if m.cfg.SwarmKey != nil {
		key = "has another swarm key than " + m.cfg.SwarmKey.Fingerprint()
	}
	return fmt.Errorf("%w (it %s; or it is frozen, overloaded, or cut off by a firewall) (%w): join its swarm with a token, or see how that machine is doing",
		ErrSilent, key, why)
}

// failure is what came of one address.
type failure struct {
	addr multiaddr.Multiaddr
	err  error
}

// failures takes a dial's error apart. One that has no parts, such as that the
// time was up, is that of every address.
func failures(p peer.AddrInfo, err error) []failure {
	var out []failure
	var all *swarm.DialError
	if errors.As(err, &all) && len(all.DialErrors) > 0 {
		for _, e := range all.DialErrors {
			out = append(out, failure{e.Address, e.Cause})
		}
		return out
	}
	if timedOut(err) {
		for _, a := range p.Addrs {
			out = append(out, failure{a, err})
		}
	}
	return out
}

// hungUp reports whether the other side ended a connection that it had taken.
func hungUp(err error) bool {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// inOneLine makes the text of an error one line, which a dial's is not.
func inOneLine(err error) error { return oneLine{err} }

type oneLine struct{ error }

func (e oneLine) Unwrap() error { return e.error }

func (e oneLine) Error() string {
	text := e.error.Error()
	var all *swarm.DialError
	if errors.As(e.error, &all) && len(all.DialErrors) > 0 {
		var parts []string
		for _, d := range all.DialErrors {
			parts = append(parts, fmt.Sprintf("%s: %s", d.Address, d.Cause))
		}
		if all.Skipped > 0 {
			parts = append(parts, fmt.Sprintf("%d more", all.Skipped))
		}
		text = strings.Join(parts, "; ")
	}
	return strings.Join(strings.Fields(text), " ")
}

// refused knocks at addresses where a peer used to listen. That one of them
// refuses now means that its process is gone: a cut network does not answer.
func refused(ctx context.Context, proven []multiaddr.Multiaddr) bool {
	for _, a := range proven {
		c, err := knock(ctx, a)
		if err == nil {
			c.Close()
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			return true
		}
	}
	return false
}

// refuses reports whether no TCP connection is to be had at an address.
func refuses(ctx context.Context, a multiaddr.Multiaddr) bool {
	c, err := knock(ctx, a)
	if err != nil {
		return true
	}
	c.Close()
	return false
}

// knock opens a TCP connection to an address.
func knock(ctx context.Context, a multiaddr.Multiaddr) (net.Conn, error) {
	network, host, err := manet.DialArgs(a)
	if err != nil {
		return nil, err
	}
	if network != "tcp4" && network != "tcp6" && network != "tcp" {
		return nil, fmt.Errorf("%s is not TCP", a)
	}
	d := net.Dialer{Timeout: knockTimeout}
	return d.DialContext(ctx, network, host)
}
