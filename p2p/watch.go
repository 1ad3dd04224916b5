package p2p

import (
	"context"
	"errors"

	"github.com/libp2p/go-libp2p/core/peer"
)

// ErrClosed is what waiting calls return once the thing they wait on was closed.
var ErrClosed = errors.New("p2p: closed")

// Change says that a peer came, says something new, or (Gone) went, and why. Left
// says that it went in good order, or has been started anew since: nothing broke
// that is still to be feared.
type Change struct {
	Peer Peer
	Gone bool
	Left bool
	Why  string
}

// Watch is one reader's view of the changes of a Roster. What a slow reader has
// not fetched is merged, per peer, into at most one Gone followed by the peer's
// newest state: so it is bounded by the size of the roster, and yet no Gone is
// lost for a peer that the reader was told of.
type Watch struct {
	r     *Roster
	ready chan struct{} // holds one when queue may be non-empty
	done  chan struct{}

	// The Roster's mutex guards these.
	order  []peer.ID
	gone   map[peer.ID]Change
	state  map[peer.ID]Change
	closed bool
}

// Watch begins with all peers that are live now, then follows the changes. Close
// it after use.
func (r *Roster) Watch() *Watch {
	w := &Watch{
		r: r, ready: make(chan struct{}, 1), done: make(chan struct{}),
		gone: make(map[peer.ID]Change), state: make(map[peer.ID]Change),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.peers {
		w.push(Change{Peer: e.Peer})
	}
	r.watches[w] = struct{}{}
	return w
}

// tell hands a change to all watches. The caller holds the mutex.
func (r *Roster) tell(c Change) {
	for w := range r.watches {
		w.push(c)
	}
}

func (w *Watch) push(c Change) {
	id := c.Peer.ID
	_, g := w.gone[id]
	_, s := w.state[id]
	if !g && !s {
		w.order = append(w.order, id)
	}
	if c.Gone {
		w.gone[id] = c
		delete(w.state, id)
	} else {
		w.state[id] = c
	}
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

func (w *Watch) pop() (Change, bool) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	if len(w.order) == 0 {
		return Change{}, false
	}
	id := w.order[0]
	c, ok := w.gone[id]
	if ok {
		delete(w.gone, id)
		if _, more := w.state[id]; more {
			return c, true
		}
	} else {
		c = w.state[id]
		delete(w.state, id)
	}
	w.order = w.order[1:]
	return c, true
}

// Next waits for the next change. It fails with ErrClosed after Close, or with
// the context's error. One goroutine at a time may call it.
func (w *Watch) Next(ctx context.Context) (Change, error) {
	for {
		if c, ok := w.pop(); ok {
			return c, nil
		}
		select {
		case <-w.ready:
		case <-w.done:
			return Change{}, ErrClosed
		case <-ctx.Done():
			return Change{}, ctx.Err()
		}
	}
}

// Close ends the watch.
func (w *Watch) Close() {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	if !w.closed {
		w.closed = true
		close(w.done)
		delete(w.r.watches, w)
	}
}
