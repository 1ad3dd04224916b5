package p2p

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Failing is a bootstrap peer that this node is not connected to and the reason:
// errors.Is tells ErrSwarmKey and ErrSilent, and the text what to do.
type Failing struct {
	ID    peer.ID
	Err   error
	Tries int       // in a row that came to nothing
	Since time.Time // of the first of them
}

// Failing lists the peers of Config.Bootstrap to which no connection can be made,
// by their IDs.
func (m *Mesh) Failing() []Failing {
	m.failing.mu.Lock()
	defer m.failing.mu.Unlock()
	var out []Failing
	for id, f := range m.failing.peers {
		if m.host.Network().Connectedness(id) != network.Connected {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b Failing) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// failures by peer; there are no more than bootstrap peers.
type failing struct {
	mu    sync.Mutex
	peers map[peer.ID]Failing
}

// note takes the result of a dial of a bootstrap peer.
func (f *failing) note(id peer.ID, err error, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.peers, id)
		return
	}
	if f.peers == nil {
		f.peers = make(map[peer.ID]Failing)
	}
	e, again := f.peers[id]
	if !again {
		e = Failing{ID: id, Since: now}
	}
	e.Err, e.Tries = err, e.Tries+1
	f.peers[id] = e
}
