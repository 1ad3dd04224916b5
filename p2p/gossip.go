package p2p

import (
	"context"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/gologshim"
)

const gossipLimit = 64 << 10 // bytes of one message, with its signature

// newGossip starts GossipSub until ctx ends.
//
//   - Strict signing: every message is its author's, whoever passes it on.
//   - Flood publishing: an author sends to all its topic peers, not to its mesh
//     alone, because a mesh takes a heartbeat to form and what is published
//     before that would be lost. Forwarding uses the mesh.
//   - Scores fall by invalid messages only. There is no penalty for peers that
//     share an IP: small swarms live on one machine or behind one address.
func newGossip(ctx context.Context, h host.Host) (*pubsub.PubSub, error) {
	score := &pubsub.PeerScoreParams{
		Topics:           make(map[string]*pubsub.TopicScoreParams), // filled by Join
		AppSpecificScore: func(peer.ID) float64 { return 0 },
		DecayInterval:    time.Second,
		DecayToZero:      0.01,
		RetainScore:      10 * time.Minute,
	}
	limits := &pubsub.PeerScoreThresholds{
		GossipThreshold:   -50,
		PublishThreshold:  -100,
		GraylistThreshold: -200,
	}
	return pubsub.NewGossipSub(ctx, h,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictSign),
		pubsub.WithMaxMessageSize(gossipLimit),
		pubsub.WithFloodPublish(true),
		pubsub.WithPeerExchange(false),
		pubsub.WithPeerScore(score, limits),
		// Its own logger writes to stderr, past whatever the process has its logs do.
		pubsub.WithLogger(gologshim.Logger("pubsub")),
	)
}

// topicScore lets a peer that passes on one invalid message out of the mesh for
// some minutes, and has one that goes on ignored altogether.
func topicScore() *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{
		SkipAtomicValidation:           true,
		TopicWeight:                    1,
		TimeInMeshQuantum:              time.Second,
		InvalidMessageDeliveriesWeight: -10,
		InvalidMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(5 * time.Minute),
	}
}
