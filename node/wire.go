package node

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// awardProtocol carries the scheduler's messages between two peers.
const awardProtocol = "/shoal/award/1"

// wire carries the scheduler's messages over the mesh, both ways. Sending never
// blocks and promises nothing: the scheduler says again what was not answered.
type wire struct {
	mesh  *p2p.Mesh
	post  *p2p.Post
	bids  *p2p.Topic[scheduler.Bid]
	out   chan scheduler.Bid // the latest bid to publish
	sched *scheduler.Scheduler
	known directory
	heard atomic.Pointer[time.Time] // when the last bid of another peer came in
	log   *zap.Logger
}

// connect makes the wire; nothing is received before deliver runs.
func connect(m *p2p.Mesh, log *zap.Logger) (*wire, error) {
	bids, err := p2p.Join(m, "bids", scheduler.EncodeBid, func(from peer.ID, frame []byte) (scheduler.Bid, error) {
		return scheduler.DecodeBid(job.PeerID(from.String()), frame)
	})
	if err != nil {
		return nil, err
	}
	return &wire{mesh: m, bids: bids, out: make(chan scheduler.Bid, 1), log: log}, nil
}

// open begins to hand the messages of other peers to the scheduler.
func (w *wire) open() {
	w.post = p2p.NewPost(w.mesh, awardProtocol, func(from peer.ID, frame []byte) error {
		return w.sched.Receive(job.PeerID(from.String()), frame)
	})
}

// Close stops receiving.
func (w *wire) Close() error { return errors.Join(w.post.Close(), w.bids.Close()) }

// Send implements scheduler.Network.
func (w *wire) Send(to job.PeerID, frame []byte) {
	id, err := peer.Decode(string(to))
	if err != nil {
		w.log.Warn("cannot send to a peer whose ID is none", zap.String("peer", string(to)), zap.Error(err))
		return
	}
	w.post.Send(id, frame)
}

// Publish implements scheduler.Network. A bid that could not leave yet is
// replaced by the newer one.
func (w *wire) Publish(b scheduler.Bid) {
	for {
		select {
		case w.out <- b:
			return
		case <-w.out:
		}
	}
}

// deliver hands what arrives to the scheduler until ctx ends.
func (w *wire) deliver(ctx context.Context) error {
	for {
		from, bid, err := w.bids.Next(ctx)
		if err != nil {
			return ended(ctx, err)
		}
		now := time.Now()
		w.heard.Store(&now)
		w.sched.ReceiveBid(job.PeerID(from.String()), bid)
	}
}

// lastHeard is when the last bid of another peer came in, zero if none did.
func (w *wire) lastHeard() time.Time {
	if at := w.heard.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// publish sends bids until ctx ends, and the last one again when the peers that
// listen change: what is published before the gossip mesh forms is lost.
func (w *wire) publish(ctx context.Context) error {
	var last *scheduler.Bid
	for {
		select {
		case <-ctx.Done():
			return nil
		case b := <-w.out:
			last = &b
		case <-w.bids.PeersChanged():
		}
		if last == nil {
			continue
		}
		if err := w.bids.Publish(ctx, *last); err != nil && ctx.Err() == nil {
			w.log.Warn("a standing bid was not published", zap.Error(err))
		}
	}
}

// follow tells the scheduler who is there and who is gone until ctx ends.
func (w *wire) follow(ctx context.Context) error {
	changes := w.mesh.Roster().Watch()
	defer changes.Close()
	for {
		c, err := changes.Next(ctx)
		if err != nil {
			return ended(ctx, err)
		}
		id := job.PeerID(c.Peer.ID.String())
		w.known.note(c.Peer)
		switch {
		case c.Left:
			w.sched.PeerLeft(id, c.Peer.Boot, c.Why)
		case c.Gone:
			w.sched.PeerGone(id, c.Peer.Boot, c.Why)
		default:
			w.sched.PeerSeen(scheduler.Peer{ID: id, Labels: c.Peer.Labels, Boot: c.Peer.Boot})
		}
	}
}

// ended turns the error of a loop whose ctx ended into nil: that is how it is
// meant to end.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
