package p2p

import (
	"errors"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// What one peer may have this node do by gossip. A peer passes on what all others
// write, so its own writings have a bound apart. A node of a busy swarm of a
// hundred passes on some 100 messages a second, and writes a few; a signature
// takes 0.1 ms of a core to check, so a sender at its bound costs 5 % of one.
const (
	senderRate  = 500 // messages a second, whoever wrote them
	senderBurst = 2000
	authorRate  = 50 // messages a second, whoever passes them on
	authorBurst = 200

	garbageRate  = 1.0 / 60 // messages a second that are malformed or not signed
	garbageBurst = 4        // more than none, as a peer of another version may err
)

var errFlood = errors.New("a peer sends more than its share of gossip")

// floodgate drops gossip beyond these bounds. Whoever sends too much, of what it
// wrote itself or altogether, or garbage, is not listened to for a while, for
// longer each time (see penalties); an author's messages that others pass on are
// dropped without blame. Bounds are by peer and never by address, which many
// nodes may share.
type floodgate struct {
	senders, authors, garbage *quotas
	faults                    *penalties
}

func newFloodgate() *floodgate {
	return &floodgate{
		senders: newQuotas(senderRate, senderBurst),
		authors: newQuotas(authorRate, authorBurst),
		garbage: newQuotas(garbageRate, garbageBurst),
		faults:  newPenalties(),
	}
}

// inspect takes or drops all that a peer sends in one go, before a signature is
// checked.
func (f *floodgate) inspect(from peer.ID, rpc *pubsub.RPC) error {
	now := time.Now()
	if f.faults.out(from, now) {
		return errFlood
	}
	// Control messages have limits in GossipSub, but not their number.
	if n := max(1, len(rpc.GetPublish())+len(rpc.GetSubscriptions())); !f.senders.allow(from, n, now) {
		f.fault(from, now)
		return errFlood
	}
	return nil
}

// admits reports whether an author has not written too much yet.
func (f *floodgate) admits(from, author peer.ID) bool {
	now := time.Now()
	if f.authors.allow(author, 1, now) {
		return true
	}
	if from == author {
		f.fault(from, now)
	}
	return false
}

// RejectMessage is told of messages that were not taken, and why. An author that
// is this node is no fault: its former process may have written it.
func (f *floodgate) RejectMessage(msg *pubsub.Message, reason string) {
	switch reason {
	case pubsub.RejectMissingSignature, pubsub.RejectInvalidSignature, pubsub.RejectUnexpectedAuthInfo, pubsub.RejectValidationFailed:
		if now := time.Now(); !f.garbage.allow(msg.ReceivedFrom, 1, now) {
			f.fault(msg.ReceivedFrom, now)
		}
	}
}

// fault keeps a peer out. What had come from it before counts once.
func (f *floodgate) fault(id peer.ID, now time.Time) {
	if !f.faults.out(id, now) {
		f.faults.fault(id, now)
	}
}

// score is what GossipSub's score has of this: a peer that is kept out gets no
// messages and no place in a mesh either.
func (f *floodgate) score(id peer.ID) float64 {
	if f.faults.out(id, time.Now()) {
		return 2 * graylist
	}
	return 0
}

// The rest of pubsub.RawTracer tells of nothing that matters here.

func (f *floodgate) OnNewOutboundStream(peer.ID, protocol.ID) {}
func (f *floodgate) OnClosedOutboundStream(peer.ID)           {}
func (f *floodgate) Join(string)                              {}
func (f *floodgate) Leave(string)                             {}
func (f *floodgate) Graft(peer.ID, string)                    {}
func (f *floodgate) Prune(peer.ID, string)                    {}
func (f *floodgate) ValidateMessage(*pubsub.Message)          {}
func (f *floodgate) DeliverMessage(*pubsub.Message)           {}
func (f *floodgate) DuplicateMessage(*pubsub.Message)         {}
func (f *floodgate) UndeliverableMessage(*pubsub.Message)     {}
func (f *floodgate) ThrottlePeer(peer.ID)                     {}
func (f *floodgate) RecvRPC(*pubsub.RPC)                      {}
func (f *floodgate) SendRPC(*pubsub.RPC, peer.ID)             {}
func (f *floodgate) DropRPC(*pubsub.RPC, peer.ID)             {}
