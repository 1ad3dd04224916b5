package p2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Bounds of penalties.
const (
	firstPause   = time.Second
	lastPause    = 5 * time.Minute
	forgiveAfter = 10 * time.Minute // without another fault
	maxPenalties = 1024
)

// penalties keep peers out for a while that sent what makes no sense: for longer
// each time, so that such a peer costs ever less.
type penalties struct {
	mu    sync.Mutex
	peers map[peer.ID]penalty
}

type penalty struct {
	pause time.Duration
	until time.Time
}

func newPenalties() *penalties { return &penalties{peers: make(map[peer.ID]penalty)} }

// fault takes note of one and says for how long its peer is kept out.
func (p *penalties) fault(id peer.ID, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, known := p.peers[id]
	if !known && len(p.peers) >= maxPenalties {
		p.makeRoom(now)
	}
	pause := firstPause
	if known && now.Before(was.until.Add(forgiveAfter)) {
		pause = min(2*was.pause, lastPause)
	}
	p.peers[id] = penalty{pause, now.Add(pause)}
	return pause
}

// makeRoom forgets those that are forgiven, or, if none is, any one.
func (p *penalties) makeRoom(now time.Time) {
	var one peer.ID
	for id, was := range p.peers {
		one = id
		if now.After(was.until.Add(forgiveAfter)) {
			delete(p.peers, id)
		}
	}
	if len(p.peers) >= maxPenalties {
		delete(p.peers, one)
	}
}

// out reports whether a peer is kept out now.
func (p *penalties) out(id peer.ID, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, ok := p.peers[id]
	return ok && now.Before(was.until)
}
