package p2p

import (
	"context"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/gologshim"
)

const gossipLimit = 64 << 10 // bytes of one message, with its signature

// graylist is the score below which nothing of a peer is looked at.
const graylist = -200

// newGossip starts GossipSub until ctx ends.
//
//   - Strict signing: every message is its author's, whoever passes it on.
//   - Flood publishing: an author sends to all its topic peers, not to its mesh
//     alone, because a mesh takes a heartbeat to form and what is published
//     before that would be lost. Forwarding uses the mesh.
//   - A peer is judged by what an honest one never does: to flood or to send
//     garbage, which the floodgate sees to, and to force its way into the mesh.
//     GossipSub's other terms are off. They hold against peers what small swarms
//     do: to share an address, to be few, to be slow, to have nothing to say; and
//     they do not count for a peer that hides that it speaks gossip at all.
func newGossip(ctx context.Context, h host.Host, flood *floodgate) (*pubsub.PubSub, error) {
	score := &pubsub.PeerScoreParams{
		AppSpecificScore:  flood.score,
		AppSpecificWeight: 1,
		// The square of what is beyond the threshold, of grafts refused and of
		// messages promised and not sent within 3 s. The latter happens to an honest
		// peer on a machine that is too busy: hence the high threshold.
		BehaviourPenaltyWeight:    -1,
		BehaviourPenaltyThreshold: 20,
		BehaviourPenaltyDecay:     pubsub.ScoreParameterDecay(time.Minute),
		DecayInterval:             time.Second,
		DecayToZero:               0.01,
		RetainScore:               10 * time.Minute,
	}
	limits := &pubsub.PeerScoreThresholds{
		GossipThreshold:   graylist / 4,
		PublishThreshold:  graylist / 2,
		GraylistThreshold: graylist,
	}
	return pubsub.NewGossipSub(ctx, h,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictSign),
		pubsub.WithMaxMessageSize(gossipLimit),
		pubsub.WithFloodPublish(true),
		pubsub.WithPeerExchange(false),
		pubsub.WithPeerScore(score, limits),
		pubsub.WithAppSpecificRpcInspector(flood.inspect),
		pubsub.WithRawTracer(flood),
		// Its own logger writes to stderr, past whatever the process has its logs do.
		pubsub.WithLogger(gologshim.Logger("pubsub")),
	)
}
