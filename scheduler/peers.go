package scheduler

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
	"k8s.io/apimachinery/pkg/labels"
)

// Standing bids are sent at least every bidInterval and ignored after three
// missed ones.
const (
	bidInterval = 10 * time.Second
	bidExpiry   = 3 * bidInterval
)

// peer is what a Core knows of a peer, this node included.
type peer struct {
	alarm
	id       job.PeerID
	seen     bool // it is there, as far as anybody knows
	labels   labels.Set
	boot     uint64
	bid      Bid // its latest; Seq 0 if there was none
	bidAt    time.Duration
	promised job.Room // awarded and not answered: its bid may not know of it
	live     []*live  // attempts it has, oldest first
	heard    time.Duration
	asked    time.Duration
}

func (p *peer) free() job.Room { return p.bid.Free.Minus(p.promised) }

// bids reports whether its standing bid still stands.
func (p *peer) bids(now time.Duration) bool { return p.bid.Seq != 0 && now < p.bidAt+bidExpiry }

// peer finds or makes the record of a peer. It is nil if there are too many.
func (c *Core) peer(id job.PeerID) *peer {
	p := c.peers[id]
	if p != nil || len(c.peers) >= maxPeers {
		return p
	}
	p = &peer{id: id, heard: c.now}
	c.peers[id] = p
	at, _ := slices.BinarySearchFunc(c.roster, id, func(p *peer, id job.PeerID) int { return cmp.Compare(p.id, id) })
	c.roster = slices.Insert(c.roster, at, p)
	return p
}

// forget drops the record of a peer that is of no interest any more.
func (c *Core) forget(p *peer) {
	if p.seen || len(p.live) > 0 || c.peers[p.id] != p {
		return
	}
	delete(c.peers, p.id)
	c.roster = slices.DeleteFunc(c.roster, func(q *peer) bool { return q == p })
}

func (c *Core) peerSeen(in PeerSeen) {
	p := c.peer(in.ID)
	if p == nil {
		return
	}
	back, most := !p.seen, offerLimit
	if !maps.Equal(p.labels, in.Labels) {
		most = relabelLimit // jobs may have waited for this very label
	}
	p.seen, p.labels = true, in.Labels
	if in.Boot > p.boot {
		c.rebooted(p, in.Boot)
	}
	if back {
		c.nudge(p)
	}
	c.offer(p, most)
}

func (c *Core) peerGone(in PeerGone) {
	p := c.peers[in.ID]
	if p == nil {
		return
	}
	p.seen = false
	cause := lostCrashed
	if in.Left {
		cause = lostLeft
	}
	// A bid or an answer may have told of a later process already.
	later := in.Boot != 0 && in.Boot < p.boot
	for _, l := range slices.Clone(p.live) {
		unsure := later && !l.answered // the award may still reach the later one
		if !unsure && (in.Boot == 0 || l.boot <= in.Boot) {
			c.lose(l, cause, "its peer is gone: "+in.Why)
		}
	}
	if later {
		c.timers.at(max(c.now+1, p.bidAt+bidExpiry), &p.alarm, p) // to forget it, unless it shows itself
		return
	}
	p.bid = Bid{}
	c.forget(p)
}

// rebooted notes that p runs since another boot: whatever it had accepted before
// is lost. Awards it has not answered may still reach the new process.
func (c *Core) rebooted(p *peer, boot uint64) {
	p.boot, p.bid = boot, Bid{}
	for _, l := range slices.Clone(p.live) {
		if l.answered && l.boot != 0 && l.boot < boot {
			c.lose(l, lostRestarted, "its peer was started anew")
		}
	}
}

// bid takes in a standing bid, however it came.
func (c *Core) bid(from job.PeerID, b Bid) {
	p := c.peer(from)
	if p == nil || b.Boot < p.boot || !b.newer(p.bid) {
		return
	}
	if b.Boot > p.boot {
		c.rebooted(p, b.Boot)
	}
	p.bid, p.bidAt = b, c.now
	if p.seen {
		c.offer(p, offerLimit)
	} else {
		c.timers.at(c.now+bidExpiry, &p.alarm, p) // to forget it, unless it shows itself
	}
}

// Bid is the standing bid of a peer, and whether it still stands.
func (c *Core) Bid(id job.PeerID) (Bid, bool) {
	if p := c.peers[id]; p != nil && p.bids(c.now) {
		return p.bid, true
	}
	return Bid{}, false
}

// Bids are all bids that stand.
func (c *Core) Bids() map[job.PeerID]Bid {
	all := make(map[job.PeerID]Bid, len(c.peers))
	for _, p := range c.roster {
		if p.bids(c.now) {
			all[p.id] = p.bid
		}
	}
	return all
}

// forgive widens every limit by as much as this node itself was late: a node
// that slept must not take everybody else for dead.
func (c *Core) forgive() {
	late := c.now - c.woke
	if c.woke == 0 || late < c.cfg.Lease/4 {
		return
	}
	for _, p := range c.roster {
		p.heard += late
		p.bidAt += late
		for _, l := range p.live {
			l.deadline += late
			if l.endedAt != 0 {
				l.endedAt += late
			}
		}
	}
}
