package scheduler

import (
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// bidding decides when this node's standing bid goes to every peer. Gossip costs
// every peer something, so a bid is sent when it says something new to people
// who place jobs, not at each change.
type bidding struct {
	seq   uint64
	last  Bid           // the one published last; Seq 0 if none was
	at    time.Duration // when that was
	next  time.Duration // when the next is due
	peers map[job.PeerID]bool
	fresh bool // somebody new is here who has heard none
}

// minGap is the least time between two bids among n peers: together they send no
// more than 50 a second.
func minGap(n int) time.Duration {
	return max(200*time.Millisecond, time.Duration(n)*time.Second/50)
}

func (b *bidding) met(id job.PeerID) {
	if b.peers == nil {
		b.peers = map[job.PeerID]bool{}
	}
	if !b.peers[id] && len(b.peers) < maxPeers {
		b.peers[id] = true
		b.fresh = true // gossip loses what is sent while a mesh forms; say it again
	}
}

func (b *bidding) parted(id job.PeerID) { delete(b.peers, id) }

// bid is a fresh standing bid.
func (w *Worker) bid() Bid {
	w.bidding.seq++
	b := Bid{Boot: w.cfg.Boot, Seq: w.bidding.seq, Free: w.free, Total: w.cfg.Room, Jobs: w.running}
	if w.leaving {
		b.Free = job.Room{}
	}
	return b
}

// publish returns a bid if one is due now, and sets next.
func (b *bidding) publish(w *Worker) *Bid {
	now, gap := w.now, minGap(len(b.peers))
	free := w.free
	if w.leaving {
		free = job.Room{}
	}
	regular := b.at + bidInterval
	news := b.fresh || level(free, w.cfg.Room) != level(b.last.Free, w.cfg.Room)
	switch {
	case b.last.Seq == 0 || now >= regular || news && now >= b.at+gap || w.leaving && b.last.Free != free:
		b.last, b.at, b.fresh = w.bid(), now, false
		b.next = now + bidInterval
		bid := b.last
		return &bid
	case news:
		b.next = min(regular, b.at+gap)
	default:
		b.next = regular
	}
	return nil
}

// level is how full a node is, in eighths of each resource; what changes within
// one is no news.
func level(free, total job.Room) [2]int64 {
	return [2]int64{eighths(int64(free.CPU), int64(total.CPU)), eighths(int64(free.Memory), int64(total.Memory))}
}

func eighths(part, whole int64) int64 {
	if whole == 0 {
		return 0
	}
	return (8*part + whole - 1) / whole
}
