package p2p

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	topicBuffer = 1024 // messages that wait for Next; more are dropped
	topicSoon   = 50 * time.Millisecond
	topicSettle = time.Second
)

// Topic carries values of one type by gossip to all peers that joined it.
// Delivery is best effort: values can be lost, reordered, and delivered again.
type Topic[T any] struct {
	name   string
	self   peer.ID
	gossip *pubsub.PubSub
	topic  *pubsub.Topic
	sub    *pubsub.Subscription
	enc    func(T) ([]byte, error)
	peers  chan struct{}
	stop   context.CancelFunc
	work   sync.WaitGroup
	once   sync.Once
}

// Join takes part in a topic. dec is the topic's validator: it gets the author,
// proved by signature, and the bytes; what it refuses goes no further, and the
// peer that passed it on is trusted less (unless the error wraps ErrIgnore). It
// runs on several goroutines at once, on what hostile peers send, and must bound
// its work. A topic can be joined once at a time. Close it after use.
func Join[T any](m *Mesh, topic string, enc func(T) ([]byte, error), dec func(peer.ID, []byte) (T, error)) (*Topic[T], error) {
	t := &Topic[T]{
		name: "/shoal/" + topic, self: m.host.ID(), gossip: m.gossip, enc: enc,
		peers: make(chan struct{}, 1),
	}
	if err := t.join(m.ctx, validator(m.flood, m.host.ID(), dec)); err != nil {
		return nil, fmt.Errorf("joining topic %s: %w", topic, err)
	}
	return t, nil
}

func validator[T any](flood *floodgate, self peer.ID, dec func(peer.ID, []byte) (T, error)) pubsub.ValidatorEx {
	return func(_ context.Context, from peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
		if from != self && !flood.admits(from, msg.GetFrom()) {
			return pubsub.ValidationIgnore
		}
		v, err := dec(msg.GetFrom(), msg.GetData())
		switch {
		case errors.Is(err, ErrIgnore):
			return pubsub.ValidationIgnore
		case err != nil:
			return pubsub.ValidationReject
		}
		msg.ValidatorData = v // so that it is decoded once
		return pubsub.ValidationAccept
	}
}

func (t *Topic[T]) join(ctx context.Context, valid pubsub.ValidatorEx) (err error) {
	ctx, t.stop = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			t.stop()
		}
	}()
	if err := t.gossip.RegisterTopicValidator(t.name, valid, pubsub.WithValidatorInline(true)); err != nil {
		return err
	}
	if t.topic, err = t.gossip.Join(t.name); err != nil {
		t.gossip.UnregisterTopicValidator(t.name)
		return err
	}
	fail := func(err error) error {
		t.topic.Close()
		t.gossip.UnregisterTopicValidator(t.name)
		return err
	}
	events, err := t.topic.EventHandler()
	if err != nil {
		return fail(err)
	}
	t.sub, err = t.topic.Subscribe(pubsub.WithBufferSize(topicBuffer),
		pubsub.WithMessageFilter(func(msg *pubsub.Message) bool { return msg.GetFrom() != t.self }))
	if err != nil {
		events.Cancel()
		return fail(err)
	}
	t.work.Go(func() {
		defer events.Cancel()
		t.followPeers(ctx, events)
	})
	return nil
}

// followPeers notifies of a change at once, and again when it has settled: that a
// peer has subscribed is heard on its stream to us, while ours to it, without
// which it hears nothing, may open later and makes no event. While changes go on
// it notifies ever more seldom, down to once a second: when many join at once,
// and each of them has everybody speak, a swarm is busy with that alone.
func (t *Topic[T]) followPeers(ctx context.Context, events *pubsub.TopicEventHandler) {
	for {
		if _, err := events.NextPeerEvent(ctx); err != nil {
			return
		}
		notify(t.peers)
		for gap, settled := topicSoon, false; !settled; gap = min(2*gap, topicSettle) {
			changed := drain(ctx, events, gap)
			if ctx.Err() != nil {
				return
			}
			settled = !changed && gap == topicSettle
			if changed || settled {
				notify(t.peers)
			}
		}
	}
}

// drain takes events for a while and reports whether there were any.
func drain(ctx context.Context, events *pubsub.TopicEventHandler, d time.Duration) (changed bool) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		if _, err := events.NextPeerEvent(ctx); err != nil {
			return changed
		}
		changed = true
	}
}

// Publish sends a value to the peers of the topic that are connected now; none
// is no error. What this node's own validator refuses is one.
func (t *Topic[T]) Publish(ctx context.Context, v T) error {
	b, err := t.enc(v)
	if err != nil {
		return fmt.Errorf("encoding for %s: %w", t.name, err)
	}
	if len(b) > gossipLimit/2 {
		return fmt.Errorf("publishing to %s: a message of %d bytes is longer than %d", t.name, len(b), gossipLimit/2)
	}
	if err := t.topic.Publish(ctx, b); err != nil {
		return fmt.Errorf("publishing to %s: %w", t.name, err)
	}
	return nil
}

// Next waits for a value from another peer and says which peer is its author.
// It fails with ErrClosed after Close, or with the context's error.
func (t *Topic[T]) Next(ctx context.Context) (peer.ID, T, error) {
	for {
		var zero T
		msg, err := t.sub.Next(ctx)
		if errors.Is(err, pubsub.ErrSubscriptionCancelled) {
			return "", zero, ErrClosed
		}
		if err != nil {
			return "", zero, err
		}
		if v, ok := msg.ValidatorData.(T); ok {
			return msg.GetFrom(), v, nil
		}
	}
}

// PeersChanged receives when peers came to the topic or left it, and once more a
// second after the last such change. Newcomers have
// heard nothing of what was published before: say it again.
func (t *Topic[T]) PeersChanged() <-chan struct{} { return t.peers }

// Close leaves the topic.
func (t *Topic[T]) Close() error {
	var err error
	t.once.Do(func() {
		t.stop()
		t.work.Wait()
		t.sub.Cancel()
		err = t.topic.Close()
		if uerr := t.gossip.UnregisterTopicValidator(t.name); err == nil {
			err = uerr
		}
		if errors.Is(err, context.Canceled) { // gossip has ended as a whole
			err = nil
		}
	})
	if err != nil {
		return fmt.Errorf("leaving %s: %w", t.name, err)
	}
	return nil
}
