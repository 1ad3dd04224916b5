package p2p

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/zap"
)

const (
	maxTargets   = 1024
	maxDials     = 32 // at once: some peers may be dead and not even refuse; too many handshakes delay each other
	firstRetry   = 200 * time.Millisecond
	yieldTo      = 500 * time.Millisecond
	lastRetry    = 15 * time.Second // for bootstrap peers
	lastRetryFar = 2 * time.Minute  // for the rest, unless nobody is connected
	retell       = 5 * time.Second  // since its last dial, until a failed peer that others see is tried
)

// target is a peer to be connected to.
//
//	due ──dial──▶ dialing ──▶ connected ──lost──▶ due at once
//	 ▲                │
//	 └──back-off──────┘ failed
type target struct {
	peer.AddrInfo
	bootstrap bool
	dialing   bool
	fails     int
	due       time.Time
	dialled   time.Time
	order     int // in which it came: of those that are due, the first ones first
	wait      *backoff.ExponentialBackOff
}

type dialResult struct {
	id  peer.ID
	err error
}

// seeker keeps this node connected to all peers it has heard of. One goroutine
// owns it; dials run beside and report back.
type seeker struct {
	m       *Mesh
	targets map[peer.ID]*target
	results chan dialResult
	dialing int
	wanted  int // targets that there ever were
}

// seek connects to bootstrap, remembered and found peers, and redials lost ones,
// until ctx ends.
func (m *Mesh) seek(ctx context.Context) {
	s := &seeker{m: m, targets: make(map[peer.ID]*target), results: make(chan dialResult, maxDials)}
	for _, p := range m.cfg.Bootstrap {
		s.want(p, true)
	}
	for _, p := range m.known.list() {
		s.want(p, false)
	}
	for {
		next := s.dialDue(ctx, time.Now())
		timer := time.NewTimer(next)
		select {
		case h := <-m.found:
			s.hinted(h, time.Now())
		case id := <-m.lost:
			s.lost(id)
		case r := <-s.results:
			s.done(r)
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			for ; s.dialing > 0; s.dialing-- {
				<-s.results
			}
			return
		}
		timer.Stop()
	}
}

// hinted adds a found peer. Most often both ends find one another at the same
// time: so that they do not dial each other and keep two connections, the one
// with the lower ID begins, and the other gives it a moment.
func (s *seeker) hinted(h hint, now time.Time) {
	_, old := s.targets[h.ID]
	s.want(h.AddrInfo, false)
	t := s.targets[h.ID]
	if t == nil {
		return
	}
	if old && h.alive && now.Sub(t.dialled) >= retell {
		t.due = now
	}
	if !old && !h.first && s.m.host.ID() > h.ID {
		t.due = now.Add(yieldTo)
	}
}

// want adds a target, or addresses to one.
func (s *seeker) want(p peer.AddrInfo, bootstrap bool) {
	if p.ID == s.m.host.ID() || p.ID == "" {
		return
	}
	t := s.targets[p.ID]
	if t == nil {
		if len(s.targets) >= maxTargets && !s.forgetOne() {
			return
		}
		s.wanted++
		t = &target{AddrInfo: peer.AddrInfo{ID: p.ID}, bootstrap: bootstrap, order: s.wanted, wait: backoff.NewExponentialBackOff()}
		t.wait.InitialInterval, t.wait.MaxInterval = firstRetry, lastRetryFar
		if bootstrap {
			t.wait.MaxInterval = lastRetry
		}
		t.wait.Reset()
		s.targets[p.ID] = t
	}
	fresh := slices.ContainsFunc(p.Addrs, func(a multiaddr.Multiaddr) bool { return !multiaddr.Contains(t.Addrs, a) })
	t.Addrs = mergeAddrs(p.Addrs, t.Addrs)
	t.Addrs = t.Addrs[:min(len(t.Addrs), maxAddrs)]
	if fresh && !bootstrap {
		t.due = time.Time{}
	}
}

// forgetOne makes room by the target that failed most often.
func (s *seeker) forgetOne() bool {
	var worst *target
	for _, t := range s.targets {
		if !t.bootstrap && !t.dialing && t.fails > 0 && (worst == nil || t.fails > worst.fails) {
			worst = t
		}
	}
	if worst != nil {
		delete(s.targets, worst.ID)
	}
	return worst != nil
}

// lost brings a peer back into view whose last connection closed: at once if it
// is in the roster, with the usual back-off if it said goodbye.
func (s *seeker) lost(id peer.ID) {
	p, here := s.m.roster.Get(id)
	if here {
		s.want(peer.AddrInfo{ID: id, Addrs: mergeAddrs(s.m.roster.proven(id), s.m.dialable(p.Addrs))}, false)
	}
	t := s.targets[id]
	if t == nil {
		return
	}
	t.wait.Reset()
	t.due = time.Now()
	if !here {
		t.due = t.due.Add(t.wait.NextBackOff())
	}
}

// dialDue starts the dials that are due and says when to look again.
func (s *seeker) dialDue(ctx context.Context, now time.Time) time.Duration {
	next := time.Minute
	var due []*target
	for id, t := range s.targets {
		if t.dialing || s.m.host.Network().Connectedness(id) == network.Connected {
			continue
		}
		if wait := t.due.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		due = append(due, t)
	}
	slices.SortFunc(due, func(a, b *target) int { return cmp.Compare(a.order, b.order) })
	for _, t := range due[:min(len(due), maxDials-s.dialing)] { // a result wakes the loop for the rest
		t.dialing, t.dialled = true, now
		s.dialing++
		go s.dial(ctx, t.AddrInfo)
	}
	return next
}

// dial tries one target. A roster peer whose process refuses connections where
// it used to take them is gone; nobody has to wait for its silence.
func (s *seeker) dial(ctx context.Context, p peer.AddrInfo) {
	if old, ok := s.m.roster.Get(p.ID); ok && refused(ctx, s.m.roster.proven(p.ID)) {
		s.m.roster.gone(p.ID, old.Boot, "its process is gone: connection refused")
	}
	err := s.m.dial(ctx, p)
	if err != nil && ctx.Err() == nil {
		err = s.m.explain(ctx, p, err)
	}
	s.results <- dialResult{p.ID, err}
}

// done takes a dial's result. Of a row of failures the first is worth a line.
func (s *seeker) done(r dialResult) {
	s.dialing--
	t := s.targets[r.id]
	if t == nil {
		return
	}
	t.dialing = false
	if t.bootstrap {
		s.m.failing.note(r.id, r.err, time.Now())
	}
	if r.err == nil {
		t.fails = 0
		t.wait.Reset()
		return
	}
	t.fails++
	again := t.wait.NextBackOff()
	if len(s.m.host.Network().Peers()) == 0 {
		again = min(again, lastRetry) // any peer will do
	}
	t.due = time.Now().Add(again)
	log := s.m.log.Debug
	if t.fails == 1 && t.bootstrap {
		log = s.m.log.Warn
	}
	log("cannot connect yet, trying on", zap.Stringer("peer", r.id), zap.Error(r.err))
}
