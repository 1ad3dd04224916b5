package storage

import (
	"context"
	"sync"
	"time"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// inFlight blocks are asked for over Bitswap at a time. It gathers wants for 20
// ms before it sends, so that few in flight means slow.
const inFlight = 64

// askAgain is the part of patience after which peers that sent nothing over
// Bitswap are asked once more; then twice that, and so on. A request can be lost
// when it is sent just as a connection comes or goes, and Bitswap says it again
// by itself only after 30 s.
const askAgain = 6

// toBitswap has Bitswap ask everybody for a want. Sources that turn up later are
// asked for it too. The caller holds the mutex.
func (l *loader) toBitswap(w *want) {
	if w.swap || l.stopped {
		return
	}
	w.swap = true
	l.swaps.add(w)
	if l.workers < inFlight {
		l.workers++
		l.tasks.Go(l.askBitswap)
	}
}

// noSwap calls off what toBitswap began.
func (l *loader) noSwap(w *want) {
	l.swaps.remove(w)
	if w.unswap != nil {
		w.unswap()
	}
	w.swap, w.unswap = false, nil
}

// askBitswap gets one block after the other until none is to be got.
func (l *loader) askBitswap() {
	for {
		l.mu.Lock()
		if l.swaps.Len() == 0 || l.ctx.Err() != nil {
			l.workers--
			l.mu.Unlock()
			return
		}
		w := l.swaps.first()
		ctx, cancel := context.WithCancel(l.ctx)
		w.unswap = cancel
		l.mu.Unlock()
		nd, err := l.askInTurn(ctx, w.cid)
		if err == nil {
			err = l.swapped(w, nd)
		}
		if err != nil && ctx.Err() == nil {
			l.end(err)
		}
		cancel()
	}
}

// swapped takes in a block that Bitswap has brought, which is on the disk.
func (l *loader) swapped(w *want, nd ipld.Node) error {
	b, err := blocks.NewBlockWithCid(nd.RawData(), w.cid)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wants[w.cid] != w {
		return nil
	}
	return l.had(w, b, true)
}

// askInTurn asks for a block when no other call does. Bitswap keeps one account of
// wants for all sessions: it sends what one of them wants to a peer only once, and
// takes it back only when none wants it any more. So sessions that come and go for
// the same block can hide from each other that it was answered to one that has
// gone, and no asking again would get it sent.
func (l *loader) askInTurn(ctx context.Context, c cid.Cid) (ipld.Node, error) {
	waited, end, err := l.store.swapping.take(ctx, c)
	if err != nil {
		return nil, err
	}
	defer end()
	if waited {
		if nd, err := l.local(ctx, c); nd != nil || err != nil {
			return nd, err
		}
	}
	return askInRounds(ctx, l.swap, c, l.store.patience/askAgain)
}

// turns lets one call at a time have a block. Its zero value is ready.
type turns struct {
	mu    sync.Mutex
	taken map[cid.Cid]chan struct{} // closed at the end of the turn
}

// take waits until the block is free, and says whether it had to.
func (t *turns) take(ctx context.Context, c cid.Cid) (waited bool, end func(), err error) {
	for {
		t.mu.Lock()
		other := t.taken[c]
		if other == nil {
			break
		}
		t.mu.Unlock()
		waited = true
		select {
		case <-other:
		case <-ctx.Done():
			return true, nil, context.Cause(ctx)
		}
	}
	defer t.mu.Unlock()
	if t.taken == nil {
		t.taken = map[cid.Cid]chan struct{}{}
	}
	mine := make(chan struct{})
	t.taken[c] = mine
	return waited, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.taken, c)
		close(mine)
	}, nil
}

// askInRounds asks for a block, and again after a pause, and after twice that,
// until it comes or ctx ends.
func askInRounds(ctx context.Context, from ipld.NodeGetter, c cid.Cid, pause time.Duration) (ipld.Node, error) {
	for ; ; pause *= 2 {
		round, cancel := context.WithTimeout(ctx, pause)
		nd, err := from.Get(round, c)
		over := round.Err()
		cancel()
		if err == nil || ctx.Err() != nil || over == nil {
			return nd, err
		}
	}
}
