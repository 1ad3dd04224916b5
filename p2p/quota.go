package p2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// quotas bound how often each peer may have something done.
type quotas struct {
	rate  rate.Limit // a second
	burst int

	mu    sync.Mutex
	peers map[peer.ID]*rate.Limiter
	full  time.Time // until then there is no room for another peer
}

func newQuotas(perSecond rate.Limit, burst int) *quotas {
	return &quotas{rate: perSecond, burst: burst, peers: make(map[peer.ID]*rate.Limiter)}
}

// allow takes n from a peer's quota, if it has as many left.
func (q *quotas) allow(id peer.ID, n int, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.peers[id]
	if l == nil {
		if len(q.peers) >= maxPeers && !q.forget(now) {
			return false
		}
		l = rate.NewLimiter(q.rate, q.burst)
		q.peers[id] = l
	}
	return l.AllowN(now, n)
}

// forget drops the peers that have all of their quota, so that nothing is lost by
// it, and reports whether there is room then. It looks for them once a second: a
// flood of strangers should not cost more than that.
func (q *quotas) forget(now time.Time) bool {
	if now.Before(q.full) {
		return false
	}
	q.full = now.Add(time.Second)
	for id, l := range q.peers {
		if l.TokensAt(now) >= float64(q.burst) {
			delete(q.peers, id)
		}
	}
	return len(q.peers) < maxPeers
}
