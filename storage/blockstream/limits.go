package blockstream

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// MaxStreams is how many streams a server serves at a time: 64 MiB of
	// buffers. MaxPeerStreams is how many of them one peer may have: it has one
	// for each of its fetches that are under way.
	MaxStreams     = 256
	MaxPeerStreams = 16
	// A peer that sent maxFaults malformed streams is not served for penalty
	// since the last of them.
	maxFaults = 8
	penalty   = time.Minute
	maxBad    = 1024 // peers whose faults are remembered
)

// limits counts the streams of a server.
type limits struct {
	mu      sync.Mutex
	all     int
	streams map[peer.ID]int
	bad     map[peer.ID]faults
}

type faults struct {
	n    int
	last time.Time
}

func newLimits() *limits {
	return &limits{streams: map[peer.ID]int{}, bad: map[peer.ID]faults{}}
}

// enter takes one more stream in, if there is room for it; leave ends it.
func (l *limits) enter(p peer.ID, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, ok := l.bad[p]
	if ok && now.Sub(f.last) > penalty {
		delete(l.bad, p)
	} else if f.n >= maxFaults {
		return false
	}
	if l.all >= MaxStreams || l.streams[p] >= MaxPeerStreams {
		return false
	}
	l.all++
	l.streams[p]++
	return true
}

func (l *limits) leave(p peer.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.streams[p]--; l.streams[p] == 0 {
		delete(l.streams, p)
	}
}

// fault remembers that a peer sent what makes no sense.
func (l *limits) fault(p peer.ID, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.bad[p]; !known && len(l.bad) >= maxBad {
		for q, f := range l.bad {
			if now.Sub(f.last) > penalty {
				delete(l.bad, q)
			}
		}
		if len(l.bad) >= maxBad {
			return // as many peers as that are beyond what faults can be told of
		}
	}
	l.bad[p] = faults{l.bad[p].n + 1, now}
}
