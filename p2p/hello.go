package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"
	"go.uber.org/zap"
)

// helloProtocol exchanges announcements on a connection, so that two peers know
// each other within one round trip of it, not after some rounds of gossip. The
// opener sends its own and closes; the other answers with its own, and with some
// of the peers that it knows.
const helloProtocol protocol.ID = "/shoal/hello/1"

const (
	helloTimeout   = 5 * time.Second
	goodbyeTimeout = 2 * time.Second

	// What is answered to one peer. Even one that comes and goes all the time says
	// hello less often.
	helloRate  = 5 // a second
	helloBurst = 20
)

// greet exchanges announcements with a connected peer. Failure is not news: the
// connection's end, or a later greeting, tells. See meet.
func (m *Mesh) greet(ctx context.Context, to peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	err := m.hello(ctx, to, m.announcement())
	if err != nil {
		m.log.Debug("hello", zap.Stringer("peer", to), zap.Error(err))
	}
	return err
}

// When a connection is not followed by a hello: after awaitHello, and then after
// twice that, and so on, this node says it, greetings times at most.
const (
	awaitHello = 500 * time.Millisecond
	greetings  = 7
)

// meet sees to it that a hello follows a new connection, whichever side says it.
// Who dialled begins. The other waits: when both dial at the same time, each may
// see the connection first that the other made, and neither begins; and on a
// machine that is overloaded a hello may run out of time.
func (m *Mesh) meet(ctx context.Context, with peer.ID, dialled bool) {
	if dialled && m.greet(ctx, with) == nil {
		return
	}
	wait := awaitHello
	for range greetings {
		if !pause(ctx, wait) || m.host.Network().Connectedness(with) != network.Connected {
			return
		}
		if _, here := m.roster.Get(with); here {
			return
		}
		err := m.greet(ctx, with)
		var other multistream.ErrNotSupported[protocol.ID]
		if err == nil || errors.As(err, &other) {
			return // what does not know this protocol is an IPFS node, and no peer
		}
		wait *= 2
	}
}

// hello sends one announcement over an existing connection and takes the answer.
func (m *Mesh) hello(ctx context.Context, to peer.ID, a announcement) error {
	s, err := m.host.NewStream(network.WithNoDial(ctx, "hello"), to, helloProtocol)
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	defer m.reset(s)
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	if until, ok := ctx.Deadline(); ok {
		s.SetDeadline(until) // a reset does not end a write that waits in the send queue
	}
	if err := sendAnnouncement(s, a); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	if err := s.CloseWrite(); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	err = m.receiveHello(s)
	if errors.Is(err, io.EOF) && a.Leaving {
		return nil // nobody answers a goodbye; the end means that it was read
	}
	if err != nil {
		return err
	}
	others, err := receiveExchange(s)
	for _, p := range others {
		if m.host.Network().Connectedness(p.ID) != network.Connected {
			m.hint(hint{AddrInfo: p, alive: true, first: true})
		}
	}
	return err
}

func sendAnnouncement(w io.Writer, a announcement) error {
	b, err := encodeAnnouncement(a)
	if err != nil {
		return err
	}
	return writeFrame(w, b)
}

// receiveHello reads the other's announcement into the roster.
func (m *Mesh) receiveHello(s network.Stream) error {
	b, err := readFrame(s, announcementLimit)
	if err != nil {
		return fmt.Errorf("receiving: %w", err)
	}
	a, err := decodeAnnouncement(b)
	if err != nil {
		return err
	}
	c := s.Conn()
	m.roster.hearDirect(c.RemotePeer(), a, provenBy(c, a.addrs), time.Now())
	if a.Leaving {
		return io.EOF
	}
	return nil
}

// answerHello drops the hellos of a peer that has too many of them.
func (m *Mesh) answerHello(s network.Stream) {
	if !m.hellos.allow(s.Conn().RemotePeer(), 1, time.Now()) {
		s.Reset()
		return
	}
	if !m.work.Do(func() { m.answerHelloOn(s) }) {
		s.Reset()
	}
}

func (m *Mesh) answerHelloOn(s network.Stream) {
	defer m.reset(s)
	defer context.AfterFunc(m.ctx, func() { s.Reset() })()
	s.SetDeadline(time.Now().Add(helloTimeout))
	// Drawn before the opener is taken in: of two that ask at the same time, only
	// the later one hears of the other, and they do not dial each other.
	others := m.roster.acquaintances(s.Conn().RemotePeer())
	err := m.receiveHello(s)
	if err == nil {
		err = sendAnnouncement(s, m.announcement())
	}
	if err == nil {
		err = sendExchange(s, others)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		m.log.Debug("answering a hello", zap.Stringer("peer", s.Conn().RemotePeer()), zap.Error(err))
		return
	}
	s.CloseWrite()
	// A reset now could overtake what was written: wait until the opener has read
	// it and is done with the stream.
	io.Copy(io.Discard, io.LimitReader(s, 1))
}

// provenBy tells at which address a connection shows its peer to be: the one
// that was dialled; or, of what a peer that dialled us announces, those with the
// IP it came from. A peer behind NAT comes from none of its own addresses.
func provenBy(c network.Conn, announced []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	remote := c.RemoteMultiaddr()
	if c.Stat().Direction == network.DirOutbound {
		return []multiaddr.Multiaddr{remote}
	}
	ip, err := manet.ToIP(remote)
	if err != nil {
		return nil
	}
	var out []multiaddr.Multiaddr
	for _, a := range announced {
		if other, err := manet.ToIP(a); err == nil && other.Equal(ip) && plainTCP(a) {
			out = append(out, a)
		}
	}
	return out
}

// sayGoodbye tells every connected peer that this process ends now. From here on
// all that this node announces says so.
func (m *Mesh) sayGoodbye() {
	m.said.Lock()
	m.said.leaving = true
	m.said.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), goodbyeTimeout)
	defer cancel()
	a := m.announcement()
	var wg sync.WaitGroup
	for _, id := range m.host.Network().Peers() {
		// Also to those not in the roster yet: they may have this node in theirs.
		wg.Go(func() {
			if err := m.hello(ctx, id, a); err != nil {
				m.log.Debug("goodbye", zap.Stringer("peer", id), zap.Error(err))
			}
		})
	}
	wg.Wait()
}
