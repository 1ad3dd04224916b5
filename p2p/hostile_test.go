package p2p

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/test"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
)

// insider is a host with the key of the swarm that speaks what a test has it
// speak, connected to m.
func insider(t *testing.T, m *testMesh) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Transport(tcp.NewTCPTransport),
		libp2p.PrivateNetwork(pnet.PSK(m.cfg.SwarmKey[:])), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	h.Peerstore().AddAddrs(m.id(), m.addrs(), peerstore.PermanentAddrTTL)
	if _, err := h.Network().DialPeer(deadline(t), m.id()); err != nil {
		t.Fatal(err)
	}
	return h
}

// gossipStream is one over which a host sends gossip as it likes.
type gossipStream struct {
	network.Stream
	t   *testing.T
	seq uint64
}

func gossipTo(t *testing.T, h host.Host, m *testMesh) *gossipStream {
	t.Helper()
	s, err := h.NewStream(deadline(t), m.id(), pubsub.GossipSubID_v11)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Reset() })
	return &gossipStream{Stream: s, t: t}
}

// message is one by h itself, signed.
func (s *gossipStream) message(h host.Host, topic, text string) *pb.Message {
	s.t.Helper()
	s.seq++
	name := "/shoal/" + topic
	m := &pb.Message{From: []byte(h.ID()), Data: []byte(text), Topic: &name, Seqno: binary.BigEndian.AppendUint64(nil, s.seq)}
	b, err := proto.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	if m.Signature, err = h.Peerstore().PrivKey(h.ID()).Sign(append([]byte(pubsub.SignPrefix), b...)); err != nil {
		s.t.Fatal(err)
	}
	return m
}

func (s *gossipStream) send(messages ...*pb.Message) error {
	s.t.Helper()
	b, err := proto.Marshal(&pb.RPC{Publish: messages})
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = s.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...))
	return err
}

// ends waits until the other side has ended the stream.
func (s *gossipStream) ends() {
	s.t.Helper()
	s.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, s); err != nil && !errors.Is(err, network.ErrReset) {
		s.t.Errorf("the stream ends with %v", err)
	}
}

// listening joins the topic "text" at a fresh mesh; what begins with bad is
// malformed.
func listening(t *testing.T) (*testMesh, *Topic[string]) {
	t.Helper()
	m := startLogged(t, Config{SwarmKey: testKey(t)}, zap.NewNop())
	return m, joinText(t, m, func(_ peer.ID, b []byte) (string, error) {
		if bytes.HasPrefix(b, []byte("bad")) {
			return "", errors.New("malformed")
		}
		return string(b), nil
	})
}

func next(t *testing.T, topic *Topic[string], from peer.ID, want string) {
	t.Helper()
	who, got, err := topic.Next(deadline(t))
	if err != nil || who != from || got != want {
		t.Fatalf("from %s: %q, %v; want %q from %s", who, got, err, want, from)
	}
}

func TestGossipNonsenseEndsItsStream(t *testing.T) {
	m, topic := listening(t)
	for name, b := range map[string][]byte{
		"too long":  binary.AppendUvarint(nil, gossipLimit+1),
		"huge":      binary.AppendUvarint(nil, math.MaxInt64),
		"malformed": {4, 0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			h := insider(t, m)
			s := gossipTo(t, h, m)
			if _, err := s.Write(b); err != nil {
				t.Fatal(err)
			}
			s.ends()
			again := gossipTo(t, h, m)
			if err := again.send(again.message(h, "text", name)); err != nil {
				t.Fatal(err)
			}
			next(t, topic, h.ID(), name)
		})
	}
}

// Nobody can speak in another's name, and who tries is not listened to.
func TestGossipForged(t *testing.T) {
	for name, forge := range map[string]func(m *pb.Message){
		"another author": func(m *pb.Message) { m.From = []byte(test.RandPeerIDFatal(t)) },
		"another text":   func(m *pb.Message) { m.Data = []byte("forged") },
		"no signature":   func(m *pb.Message) { m.Signature = nil },
		"no author":      func(m *pb.Message) { m.From = nil },
		"garbage":        func(m *pb.Message) { m.From, m.Signature = []byte("x"), []byte("y") },
	} {
		t.Run(name, func(t *testing.T) {
			m, topic := listening(t)
			h, good := insider(t, m), insider(t, m)
			s := gossipTo(t, h, m)
			for range garbageBurst + 1 {
				forged := s.message(h, "text", "true")
				forge(forged)
				if err := s.send(forged); err != nil {
					t.Fatal(err)
				}
			}
			for !m.flood.faults.out(h.ID(), time.Now()) {
				pauseOrFail(t, "the forger to be kept out")
			}
			honest := gossipTo(t, good, m)
			if err := errors.Join(s.send(s.message(h, "text", "from the forger")), honest.send(honest.message(good, "text", "honest"))); err != nil {
				t.Fatal(err)
			}
			next(t, topic, good.ID(), "honest")
		})
	}
}

// pauseOrFail waits a moment for what has no event.
func pauseOrFail(t *testing.T, what string) {
	t.Helper()
	if !pause(t.Context(), time.Millisecond) {
		t.Fatalf("waiting for %s", what)
	}
}

// A message that is sent again is heard once.
func TestGossipReplayed(t *testing.T) {
	m, topic := listening(t)
	h := insider(t, m)
	s := gossipTo(t, h, m)
	one, two := s.message(h, "text", "one"), s.message(h, "text", "two")
	if err := s.send(one, one, one, two); err != nil {
		t.Fatal(err)
	}
	next(t, topic, h.ID(), "one")
	next(t, topic, h.ID(), "two")
}

// Who sends garbage or floods is not listened to for a while, and then again;
// what honest peers say comes through meanwhile.
func TestGossipFlooderIsKeptOut(t *testing.T) {
	for name, text := range map[string]string{"garbage": "bad", "flood": "fine"} {
		t.Run(name, func(t *testing.T) {
			m, topic := listening(t)
			h, good := insider(t, m), insider(t, m)
			s, honest := gossipTo(t, h, m), gossipTo(t, good, m)
			for !m.flood.faults.out(h.ID(), time.Now()) {
				if err := s.send(s.message(h, "text", text)); err != nil {
					t.Fatal(err)
				}
			}
			if m.flood.score(h.ID()) >= graylist || m.flood.score(good.ID()) != 0 {
				t.Errorf("scores %v and %v", m.flood.score(h.ID()), m.flood.score(good.ID()))
			}
			if err := honest.send(honest.message(good, "text", "honest")); err != nil {
				t.Fatal(err)
			}
			for heard := 0; ; heard++ {
				from, got, err := topic.Next(deadline(t))
				if err != nil || got == "bad" {
					t.Fatalf("%q, %v", got, err)
				}
				if heard > authorBurst+authorRate*int(patience/time.Second) {
					t.Fatal("the flood is heard")
				}
				if from == good.ID() {
					break
				}
			}
			for m.flood.faults.out(h.ID(), time.Now()) {
				pauseOrFail(t, "the end of the penalty")
			}
			if err := s.send(s.message(h, "text", "better now")); err != nil {
				t.Fatal(err)
			}
			for from, got := peer.ID(""), ""; from != h.ID() || got != "better now"; {
				var err error
				if from, got, err = topic.Next(deadline(t)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Twenty nodes (with the race detector eight, as it makes handshakes twenty times
// as dear) find each other from one bootstrap peer; and as they share an
// address, join, announce themselves and speak all at once, none is ever held to
// be hostile.
func TestManyHonestNodes(t *testing.T) {
	all := startMany(t, many, testKey(t))
	waitFull(t, all...)
	for _, m := range all {
		if err := m.Announce(map[string]string{"n": "2"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range all {
		for _, other := range all {
			m.waitFor(t, "the new label", func(c Change) bool { return c.Peer.ID == other.id() && c.Peer.Labels["n"] == "2" })
		}
	}
	for _, m := range all {
		if n := len(m.flood.faults.peers); n != 0 {
			t.Errorf("%d honest peers were kept out", n)
		}
		for id, l := range m.flood.senders.peers {
			if left := l.TokensAt(time.Now()); left < senderBurst/2 {
				t.Errorf("peer %s has used %.0f of its %d messages", id, senderBurst-left, senderBurst)
			}
		}
	}
}

func TestFloodgate(t *testing.T) {
	f, relay, author := newFloodgate(), test.RandPeerIDFatal(t), test.RandPeerIDFatal(t)
	for range 100 * authorBurst {
		f.admits(relay, author)
	}
	if f.admits(relay, author) || f.faults.out(relay, time.Now()) || f.faults.out(author, time.Now()) {
		t.Error("what is passed on of a flood is to be dropped without blame")
	}
	rpc := &pubsub.RPC{RPC: pb.RPC{Publish: make([]*pb.Message, senderBurst+1)}}
	if f.inspect(relay, rpc) == nil || f.inspect(relay, &pubsub.RPC{}) == nil {
		t.Error("a peer that sends too much is still heard")
	}
	if f.inspect(author, &pubsub.RPC{}) != nil {
		t.Error("a peer that sends nothing much is not heard")
	}
	for _, reason := range []string{pubsub.RejectSelfOrigin, pubsub.RejectValidationIgnored, pubsub.RejectValidationQueueFull, pubsub.RejectValidationThrottled} {
		for range 100 {
			f.RejectMessage(&pubsub.Message{ReceivedFrom: author}, reason)
		}
	}
	if f.faults.out(author, time.Now()) {
		t.Error("a peer is kept out for what is no fault of its own")
	}
}

// A peer that connects and says nothing, or begins and does not go on, holds up
// nobody and is in no roster.
func TestSilentPeerHoldsUpNobody(t *testing.T) {
	m := startLogged(t, Config{SwarmKey: testKey(t)}, zap.NewNop())
	h := insider(t, m)
	var begun []network.Stream
	for range 8 {
		s, err := h.NewStream(deadline(t), m.id(), helloProtocol)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte{0, 0}); err != nil {
			t.Fatal(err)
		}
		begun = append(begun, s)
	}
	other := start(t, Config{SwarmKey: m.cfg.SwarmKey, Labels: some, Bootstrap: []peer.AddrInfo{m.info()}})
	m.waitPeer(t, other.id())
	for _, s := range begun {
		s.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadAll(s); errors.Is(err, context.DeadlineExceeded) {
			t.Error("a stream that says nothing stays open")
		}
	}
	if _, ok := m.Roster().Get(h.ID()); ok {
		t.Error("a peer that said nothing is in the roster")
	}
}

// What a hello may not say, and what becomes of who says it.
func TestHelloRefused(t *testing.T) {
	m := startLogged(t, Config{SwarmKey: testKey(t)}, zap.NewNop())
	loopback := multiaddr.StringCast("/ip4/127.0.0.1/tcp/22")
	many := announcement{Version: announcementVersion, Type: announcementType, Boot: 1, Seq: 1, Addrs: make([][]byte, 10_000)}
	for i := range many.Addrs {
		many.Addrs[i] = loopback.Bytes()
	}
	bad := many
	bad.Addrs, bad.Labels = nil, map[string]string{"a b": ""}
	for name, a := range map[string]announcement{"ten thousand addresses": many, "an illegal label": bad} {
		t.Run(name, func(t *testing.T) {
			h := insider(t, m)
			s, err := h.NewStream(deadline(t), m.id(), helloProtocol)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Reset()
			sendAnnouncement(s, a) // fails if it is refused before all of it is there
			s.SetReadDeadline(time.Now().Add(patience))
			if got, err := io.ReadAll(s); err == nil && len(got) > 0 || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("answered with %d bytes, %v", len(got), err)
			}
			if _, ok := m.Roster().Get(h.ID()); ok {
				t.Error("it is in the roster")
			}
		})
	}
}

// Peers that somebody has made up, of whom one hears by gossip alone, do not push
// out of memory those that lead back to the swarm.
func TestHearsayIsNotRemembered(t *testing.T) {
	a, b := pair(t)
	at := []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/10.9.9.9/tcp/1235")}
	var fakes []peer.ID
	for range maxKnown {
		id := test.RandPeerIDFatal(t)
		a.roster.hearGossip(id, announcement{Boot: 1, Seq: 1, addrs: at}, time.Now())
		fakes = append(fakes, id)
	}
	c := start(t, Config{SwarmKey: a.cfg.SwarmKey, Bootstrap: []peer.AddrInfo{a.info()}})
	for ctx := deadline(t); !a.known.has(c.id()); runtime.Gosched() { // a hears of it after the others
		if ctx.Err() != nil {
			t.Fatal("a peer that has spoken is not remembered")
		}
	}
	if !a.known.has(b.id()) {
		t.Error("a peer that was met is forgotten")
	}
	for _, id := range fakes {
		if _, ok := a.roster.Get(id); ok || a.known.has(id) {
			t.Fatalf("peer %s is listed or remembered, which nobody has met", id)
		}
	}
}

// Of a peer that has stopped, gossip still carries what it said last, to a node
// that was started since and missed its goodbye. That one asks at the peer's
// address, in vain, and lists it at no time.
func TestGossipRaisesNoGhost(t *testing.T) {
	asked := make(chan struct{}, 1)
	was := accepts(t, func(c net.Conn) { c.Close(); notify(asked) })
	m := startLogged(t, Config{SwarmKey: testKey(t)}, zap.NewNop())
	w := m.Roster().Watch()
	defer w.Close()
	ghost, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer ghost.Close()
	said, err := encodeAnnouncement(announcement{Version: announcementVersion, Type: announcementType, Boot: 1, Seq: 5, Labels: some, Addrs: encodeAddrs(was.Addrs)})
	if err != nil {
		t.Fatal(err)
	}
	s := gossipTo(t, insider(t, m), m)
	if err := s.send(s.message(ghost, "labels", string(said))); err != nil {
		t.Fatal(err)
	}
	select {
	case <-asked:
	case <-deadline(t).Done():
		t.Fatal("nobody asks where it is said to be")
	}
	for c, more := w.pop(); more; c, more = w.pop() {
		if c.Peer.ID == ghost.ID() {
			t.Errorf("it is listed, or was: %+v", c)
		}
	}
}
