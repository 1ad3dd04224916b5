package storage

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/routing"
	"go.uber.org/zap"
)

const (
	// announceEvery is well under the 48 h for which peers remember who provides
	// a CID.
	announceEvery = 22 * time.Hour
	announceTime  = time.Minute // for one root
	// After a failure the next attempt is made after firstRetry, doubled each
	// time up to lastRetry: at the start of a node no peer is known yet.
	firstRetry = time.Second
	lastRetry  = time.Minute
	maxNews    = 4096
)

// Run tells the routing which roots this node keeps, so that peers that are not
// connected find them: each one soon after it was pinned, and all of them at
// the start and every 22 hours. Blocks below a root are found through it. It also
// collects garbage when the store is nearly full. Run returns nil when ctx ends or
// the store is closed.
//
// Without Run the store works, but only connected peers find what is in it.
func (s *Store) Run(ctx context.Context) error {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return nil // ctx has ended, or the store is closed
	}
	defer end()
	var tidy sync.WaitGroup
	defer tidy.Wait()
	tidy.Go(func() { s.stayBelow(ctx) })
	s.announceAll(ctx)
	return nil
}

// announceAll announces roots until ctx ends.
func (s *Store) announceAll(ctx context.Context) {
	round, again := time.NewTimer(0), time.NewTimer(firstRetry)
	defer round.Stop()
	defer again.Stop()
	wait := firstRetry
	var todo []cid.Cid
	for {
		todo = append(s.news.take(), todo...) // what is new is wanted soonest
		if len(todo) > 0 {
			if s.announce(ctx, todo[0]) {
				todo, wait = todo[1:], firstRetry
				continue
			}
			todo = append(todo[1:], todo[0])
			again.Reset(wait)
			wait = min(2*wait, lastRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.news.wake:
		case <-again.C:
		case <-round.C:
			todo = s.everything(ctx)
			round.Reset(announceEvery)
		}
	}
}

// announce tells the routing of one root and reports whether that is done, or no
// longer due as the root was unpinned.
func (s *Store) announce(ctx context.Context, c cid.Cid) bool {
	if !s.mayBePinned(ctx, c) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, announceTime)
	defer cancel()
	err := s.routing.Provide(ctx, c, true)
	switch {
	case err == nil, errors.Is(err, routing.ErrNotSupported):
		return true
	case errors.Is(err, kbucket.ErrLookupFailure):
		// A node alone: its own record is stored, and peers will come.
	case context.Cause(ctx) != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		// The store is being closed.
	default:
		s.log.Warn("a root could not be announced and will be again", zap.Stringer("cid", c), zap.Error(err))
	}
	return false
}

// everything lists what is pinned.
func (s *Store) everything(ctx context.Context) []cid.Cid {
	var all []cid.Cid
	err := s.roots.each(ctx, func(c cid.Cid) error {
		all = append(all, c)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		s.log.Warn("the pins could not all be read; some roots will not be announced", zap.Error(err))
	}
	return all
}

// queue holds new roots until Run takes them. It is bounded for the case that
// Run is busy or does not run; what finds no place waits for the next round.
type queue struct {
	mu    sync.Mutex
	roots []cid.Cid
	wake  chan struct{} // has something when there are roots to take
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// push reports whether there was a place.
func (q *queue) push(c cid.Cid) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.roots) == maxNews {
		return false
	}
	q.roots = append(q.roots, c)
	signal(q.wake)
	return true
}

// take empties the queue.
func (q *queue) take() []cid.Cid {
	q.mu.Lock()
	defer q.mu.Unlock()
	roots := q.roots
	q.roots = nil
	return roots
}
