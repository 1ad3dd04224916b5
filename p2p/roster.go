package p2p

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// Peer is a live peer as this node knows it. Its slices and map are shared: read
// them, do not change them.
type Peer struct {
	ID      peer.ID
	Addrs   []multiaddr.Multiaddr // those that worked first, then what it announces
	Labels  map[string]string     // what it says of itself; nobody vouches for it
	Ledgers []string
	Boot    uint64        // another one is another process
	Seen    time.Time     // last sign of life; use time.Since, which is monotonic
	RTT     time.Duration // last measured round trip; 0 until then
	Self    bool
}

// Bounds of what a roster remembers.
const (
	maxPeers  = 4096
	maxFences = 4096
	maxProven = 4
)

// fenceForGood is the fence of a process that said goodbye or was replaced.
const fenceForGood = math.MaxUint64

// life is one process of a peer.
type life struct {
	id   peer.ID
	boot uint64
}

type entry struct {
	Peer
	seq      uint64
	proven   []multiaddr.Multiaddr
	pinging  bool
	measured time.Time // of RTT
}

// Roster is the table of live peers, this node included. A peer gets into it by
// speaking here itself, over its own connection: of others anybody could make up
// any number, and what gossip still carries of one that has just ended would list
// it anew wherever it was not known before. All its methods may be called from any
// goroutine, and none blocks.
type Roster struct {
	self    peer.ID
	silence time.Duration // without a sign of life

	mu      sync.Mutex
	peers   map[peer.ID]*entry
	watches map[*Watch]struct{}
	// fences outlive entries: an announcement of that process counts only with a
	// higher sequence, so that an old one passed on again raises no ghost.
	fences map[life]uint64
	ring   []life // keys of fences, oldest at next once full
	next   int
}

func newRoster(self peer.ID, silence time.Duration) *Roster {
	return &Roster{
		self: self, silence: silence,
		peers:   make(map[peer.ID]*entry),
		watches: make(map[*Watch]struct{}),
		fences:  make(map[life]uint64),
	}
}

// Peers lists all live peers, this node included, by ID.
func (r *Roster) Peers() []Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Peer, 0, len(r.peers))
	for _, e := range r.peers {
		out = append(out, e.Peer)
	}
	slices.SortFunc(out, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Others is Peers without this node.
func (r *Roster) Others() []Peer {
	return slices.DeleteFunc(r.Peers(), func(p Peer) bool { return p.Self })
}

// Get finds a live peer by its ID.
func (r *Roster) Get(id peer.ID) (Peer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.peers[id]
	if !ok {
		return Peer{}, false
	}
	return e.Peer, true
}

// setSelf says what this node is; its own entry never goes.
func (r *Roster) setSelf(a announcement, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := &entry{seq: a.Seq}
	e.Peer = Peer{ID: r.self, Addrs: a.addrs, Labels: a.Labels, Ledgers: a.Ledgers, Boot: a.Boot, Seen: now, Self: true}
	r.peers[r.self] = e
	r.tell(Change{Peer: e.Peer})
}

// hearDirect takes an announcement that came over the peer's own connection,
// where nothing can be replayed. proven are addresses that are known to reach it.
func (r *Roster) hearDirect(from peer.ID, a announcement, proven []multiaddr.Multiaddr, now time.Time) {
	if from == r.self {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fences[life{from, a.Boot}] == fenceForGood {
		return
	}
	e, ok := r.peers[from]
	switch {
	case a.Leaving:
		if ok && e.Boot == a.Boot {
			r.remove(e, "it said goodbye", true)
		}
		r.fence(life{from, a.Boot}, fenceForGood)
		return
	case ok && e.Boot != a.Boot:
		r.remove(e, "its process was replaced", true)
		r.fence(life{from, e.Boot}, fenceForGood)
		e = nil
	}
	if e == nil {
		if e = r.add(from, a, now); e == nil {
			return
		}
	}
	e.Seen = now
	for _, p := range proven {
		if len(e.proven) < maxProven && !multiaddr.Contains(e.proven, p) {
			e.proven = append(slices.Clip(e.proven), p)
		}
	}
	if a.Seq > e.seq {
		e.say(a)
		r.tell(Change{Peer: e.Peer})
	}
}

// hearGossip takes an announcement whose author signed it but which anybody may
// have kept and passed on. It changes what is known of a peer that is here, and
// lists no other. stranger means that the author should be asked directly: it is
// new here, or seems to be another process than the known one.
func (r *Roster) hearGossip(from peer.ID, a announcement, now time.Time) (stranger bool) {
	if from == r.self {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.Leaving || a.Seq <= r.fences[life{from, a.Boot}] {
		return false
	}
	e, ok := r.peers[from]
	if !ok || e.Boot != a.Boot {
		return true // and which of two processes is newer, only the peer itself can prove
	}
	if a.Seq > e.seq {
		e.Seen = now
		e.say(a)
		r.tell(Change{Peer: e.Peer})
	}
	return false
}

// add makes an entry that has not heard anything yet (seq 0), or nil if there is
// no room.
func (r *Roster) add(id peer.ID, a announcement, now time.Time) *entry {
	if len(r.peers) >= maxPeers {
		return nil
	}
	e := &entry{Peer: Peer{ID: id, Boot: a.Boot, Seen: now}}
	r.peers[id] = e
	return e
}

func (e *entry) say(a announcement) {
	e.seq, e.Labels, e.Ledgers = a.Seq, a.Labels, a.Ledgers
	e.Addrs = mergeAddrs(e.proven, a.addrs)
}

// remove takes an entry out and tells the watchers why.
func (r *Roster) remove(e *entry, why string, left bool) {
	delete(r.peers, e.ID)
	r.fence(life{e.ID, e.Boot}, e.seq)
	r.tell(Change{Peer: e.Peer, Gone: true, Left: left, Why: why})
}

// fence raises the fence of a process, forgetting the oldest one if need be.
func (r *Roster) fence(l life, seq uint64) {
	if old, ok := r.fences[l]; ok {
		r.fences[l] = max(old, seq)
		return
	}
	if len(r.ring) < maxFences {
		r.ring = append(r.ring, l)
	} else {
		delete(r.fences, r.ring[r.next])
		r.ring[r.next] = l
		r.next = (r.next + 1) % maxFences
	}
	r.fences[l] = seq
}

// gone takes a peer out if it is still the process that was seen to be gone.
func (r *Roster) gone(id peer.ID, boot uint64, why string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.peers[id]
	if !ok || e.Self || e.Boot != boot {
		return false
	}
	r.remove(e, why, false)
	return true
}

// proven lists addresses at which the peer has been reached.
func (r *Roster) proven(id peer.ID) []multiaddr.Multiaddr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.peers[id]; ok {
		return e.proven
	}
	return nil
}

// pings lists the peers to ping now, and takes note that they are being pinged.
func (r *Roster) pings(now time.Time) []peer.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []peer.ID
	for id, e := range r.peers {
		quiet := now.Sub(e.Seen) >= r.silence/3
		if !e.Self && !e.pinging && (quiet || now.Sub(e.measured) >= 2*r.silence) {
			e.pinging = true
			out = append(out, id)
		}
	}
	return out
}

// pinged takes the result of a ping; ok is false if nothing came back.
func (r *Roster) pinged(id peer.ID, rtt time.Duration, ok bool, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, known := r.peers[id]
	if !known {
		return
	}
	e.pinging = false
	if ok {
		e.Seen, e.measured, e.RTT = now, now, max(rtt, 1)
	}
}

// sweep takes out those that have been silent for too long. late is by how much
// this node itself has been held up since the last sweep: what it could not have
// heard then is not held against anybody.
func (r *Roster) sweep(now time.Time, late time.Duration) []Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Peer
	for _, e := range r.peers {
		if e.Self {
			e.Seen = now
			continue
		}
		e.Seen = e.Seen.Add(late)
		if e.Seen.After(now) {
			e.Seen = now
		}
		if quiet := now.Sub(e.Seen); quiet >= r.silence {
			r.remove(e, "no sign of life for "+quiet.Round(time.Second).String(), false)
			out = append(out, e.Peer)
		}
	}
	return out
}
