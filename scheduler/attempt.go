package scheduler

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// live is an attempt that, as far as this Core has decided, some peer has.
type live struct {
	attempt   job.Attempt
	unit      *unit
	peer      *peer
	need      job.Room
	committed bool          // the award may leave
	answered  bool          // the peer has accepted it
	boot      uint64        // of the peer when it did; 0 if that is not known
	resend    time.Duration // when the award goes out again
	pause     time.Duration // before the resend after that
	deadline  time.Duration // for the answer
	endedAt   time.Duration // when the peer first said that it has ended; 0 if it did not
	began     bool          // the program runs; Started may not have been appended yet
	beganAt   time.Time     // for display
}

func (c *Core) attach(l *live, p *peer) {
	l.peer, l.unit.live = p, l
	p.live = append(p.live, l)
	if !l.answered {
		p.promised = p.promised.Plus(l.need)
	}
}

// detach forgets the attempt that a task has.
func (c *Core) detach(u *unit) {
	l := u.live
	if l == nil {
		return
	}
	u.live = nil
	p := l.peer
	p.live = slices.DeleteFunc(p.live, func(o *live) bool { return o == l })
	if !l.answered {
		p.promised = p.promised.Minus(l.need)
	}
	c.forget(p)
}

// settle notes that the peer has answered the award: its bids know of it now.
func (l *live) settle() {
	if !l.answered {
		l.answered = true
		l.peer.promised = l.peer.promised.Minus(l.need)
	}
}

// accepted notes that the peer has the attempt.
func (c *Core) accepted(l *live, boot uint64) {
	if l.answered {
		return
	}
	l.settle()
	l.boot = boot
	c.watch(l.peer)
}

// awarded sends an award that has become durable, unless it is void already.
func (c *Core) awarded(e *entry, ev job.Event) {
	if e.class == nil {
		return
	}
	l := e.units[ev.Task].live
	if l == nil || l.attempt != ev.Attempt {
		return
	}
	l.committed = true
	l.deadline = c.now + c.cfg.Answer
	c.sendAward(l)
}

func (c *Core) sendAward(l *live) {
	if l.pause == 0 {
		l.pause = firstResend
	}
	l.resend, l.pause = c.now+l.pause, 2*l.pause
	c.timers.at(min(l.resend, max(l.deadline, c.now+1)), &l.peer.alarm, l.peer)
	c.send(l.peer.id, Award{Attempt: l.attempt, Spec: l.unit.entry.job.Spec})
}

// watch sees to it that a peer with attempts is looked at in time.
func (c *Core) watch(p *peer) {
	c.timers.at(min(c.now+c.cfg.Lease/3, max(c.now+1, p.heard+c.cfg.Lease)), &p.alarm, p)
}

// check looks at a peer: are awards unanswered, has it been quiet for long?
func (c *Core) check(p *peer) {
	if len(p.live) == 0 {
		if !p.bids(c.now) {
			c.forget(p)
		}
		return
	}
	silent := c.now-p.heard >= c.cfg.Lease
	var quiet []job.Attempt
	for _, l := range slices.Clone(p.live) {
		switch {
		case l.unit.live != l || !l.committed:
		case !l.answered && c.now >= l.deadline:
			c.lose(l, lostUnanswered, "its peer did not answer the award")
		case !l.answered && c.now >= l.resend:
			c.sendAward(l)
		case !l.answered:
			c.timers.at(min(l.resend, l.deadline), &p.alarm, p)
		case silent:
			c.lose(l, lostSilent, fmt.Sprintf("its peer was silent for %v", c.cfg.Lease))
		default:
			quiet = append(quiet, l.attempt)
		}
	}
	if len(quiet) > 0 {
		// Traffic about other attempts is no sign of these: once a lease, ask anyhow.
		if c.now-p.heard >= c.cfg.Lease/3 || c.now-p.asked >= c.cfg.Lease {
			c.ask(p, quiet)
		}
		c.watch(p)
	}
}

func (c *Core) ask(p *peer, about []job.Attempt) {
	p.asked = c.now
	for part := range slices.Chunk(about, maxAsked) {
		c.send(p.id, Ask{Attempts: part})
	}
}

// nudge takes up the conversation with a peer that has come (back).
func (c *Core) nudge(p *peer) {
	var quiet []job.Attempt
	for _, l := range p.live {
		switch {
		case !l.committed:
		case l.answered:
			quiet = append(quiet, l.attempt)
		default:
			c.sendAward(l)
		}
	}
	c.ask(p, quiet)
}

// adopt takes up, after a restart, what the ledger says is under way: awards are
// sent again, which does no harm, running attempts are asked about, and the rest
// is placed.
func (c *Core) adopt() {
	for _, id := range c.ids {
		e := c.jobs[id]
		if e.job.Terminal() {
			continue
		}
		k, err := newClassKey(e.job.Spec)
		if err != nil {
			k = classKey{engine: engineWASM, where: e.job.Spec.Where, need: need(e.job.Spec)}
		}
		c.openUnits(e, k)
		for i := range e.units {
			c.adoptUnit(&e.units[i])
		}
	}
	for at := c.waiting.Front(); at != nil; at = at.Next() {
		k := at.Value.(*class)
		c.timers.at(c.now+1, &k.alarm, k)
	}
	for _, p := range c.roster {
		c.nudge(p)
		c.watch(p)
	}
}

func (c *Core) adoptUnit(u *unit) {
	switch t := u.entry.job.Tasks[u.task]; t.State {
	case job.Waiting:
		c.enqueue(u)
	case job.Awarded, job.Running:
		p := c.peer(t.Executor)
		if p == nil {
			c.eff.Fault = fmt.Errorf("the ledger names more than %d executors", maxPeers)
			return
		}
		l := &live{attempt: u.entry.job.Current(u.task), unit: u, need: u.entry.class.key.need, committed: true}
		l.answered = t.State == job.Running
		l.began = l.answered
		l.deadline = c.now + c.cfg.Lease // it may have to find the way here first
		c.attach(l, p)
	}
}

// received takes in what an executor says. Whoever it is, only the peer that has
// an attempt is believed about it.
func (c *Core) received(from job.PeerID, m Message) {
	if p := c.peers[from]; p != nil {
		p.heard = c.now
	}
	switch m := m.(type) {
	case Accept:
		l := c.current(from, m.Attempt)
		if l != nil && m.Bid.Boot >= l.peer.boot {
			c.accepted(l, m.Bid.Boot)
		}
		c.bid(from, m.Bid)
		if l == nil {
			c.stale(from, m.Attempt, Withdraw{m.Attempt})
		}
	case Decline:
		c.declined(from, m)
	case Started:
		if l := c.current(from, m.Attempt); l != nil {
			c.accepted(l, l.peer.boot)
			c.began(l)
		} else {
			c.stale(from, m.Attempt, Withdraw(m))
		}
	case Report:
		c.reported(from, m)
	case Holding:
		c.holding(from, m)
	}
}

// current is the attempt, if it is one that has been awarded to from.
func (c *Core) current(from job.PeerID, a job.Attempt) *live {
	e := c.jobs[a.Job]
	if e == nil || e.class == nil || a.Task < 0 || a.Task >= len(e.units) {
		return nil
	}
	l := e.units[a.Task].live
	if l == nil || l.attempt != a || l.peer.id != from || !l.committed {
		return nil
	}
	return l
}

// stale answers a message about an attempt that is not current, so that the
// executor lets go of it; but not before that is durable.
func (c *Core) stale(from job.PeerID, a job.Attempt, answer Message) {
	if a.Job.Ledger() != c.cfg.Ledger {
		return
	}
	if e := c.jobs[a.Job]; e != nil && e.job.ID != "" && a.Task >= 0 && a.Task < len(e.job.Tasks) {
		t := e.job.Tasks[a.Task]
		if !t.State.Terminal() && t.Executor == from && t.Attempt == a.Attempt {
			return // its end is on the way to the disk
		}
	}
	c.send(from, answer)
}

func (c *Core) declined(from job.PeerID, m Decline) {
	l := c.current(from, m.Attempt)
	if l == nil {
		c.bid(from, m.Bid)
		return
	}
	l.settle()
	c.bid(from, m.Bid)
	c.lose(l, lostDeclined, "declined: "+m.Reason)
}

// began notes that the program runs. That is written with the end of the attempt
// if it comes soon, since nothing waits for it.
func (c *Core) began(l *live) {
	if !l.began {
		l.began, l.beganAt = true, c.wall()
		c.timers.at(c.now+startGrace, &l.unit.alarm, l.unit)
	}
}

// revisit is the alarm of a task: for Started, or for another try at peers that
// failed it.
func (c *Core) revisit(u *unit) {
	switch e := u.entry; {
	case e.class == nil:
	case u.live != nil:
		c.started(u.live)
	case u.place == nil && c.now >= u.tryAgain:
		c.enqueue(u)
		c.drain(e.class)
	case u.place == nil:
		c.timers.at(u.tryAgain, &u.alarm, u)
	}
}

// started appends Started if it is due.
func (c *Core) started(l *live) {
	e := l.unit.entry
	if l.began && e.latest().Tasks[l.unit.task].State == job.Awarded {
		c.append(e, job.Event{Attempt: l.attempt, Kind: job.Started, At: l.beganAt, Peer: l.peer.id})
	}
}

func (c *Core) reported(from job.PeerID, m Report) {
	l := c.current(from, m.Attempt)
	if l == nil {
		c.stale(from, m.Attempt, ReportAck{m.Attempt})
		c.bid(from, m.Bid)
		return
	}
	u := l.unit
	c.accepted(l, m.Bid.Boot)
	c.bid(from, m.Bid) // before the next attempt is placed
	if u.live != l {
		return // the bid told that the peer was started anew
	}
	odd := m.Result.Answers(u.entry.latest().Spec)
	switch {
	case m.Failure != "" && m.Leaving:
		c.lose(l, lostLeft, m.Failure)
	case m.Failure != "":
		c.lose(l, lostFailed, m.Failure)
	case odd != nil:
		c.lose(l, lostFailed, "its peer reported what is no result of this job: "+odd.Error())
	default:
		delete(u.entry.class.avoid, from)
		c.started(l)
		c.append(u.entry, job.Event{Attempt: m.Attempt, Kind: job.Finished, Peer: from, Result: &m.Result})
		c.detach(u)
	}
}

func (c *Core) holding(from job.PeerID, m Holding) {
	if p := c.peers[from]; p != nil && m.Boot < p.boot {
		return // what that process held is gone
	}
	for _, h := range m.Attempts {
		l := c.current(from, h.Attempt)
		switch {
		case l == nil && h.Phase != Gone:
			c.stale(from, h.Attempt, Withdraw{h.Attempt})
		case l == nil:
		case h.Phase == Gone && l.answered && l.boot == m.Boot:
			c.lose(l, lostFailed, "its peer does not have it any more")
		case h.Phase == Gone && l.answered:
			c.lose(l, lostRestarted, "its peer does not have it any more, since it was started anew")
		case h.Phase != Gone:
			c.accepted(l, m.Boot)
			if l.boot == 0 {
				l.boot = m.Boot // it was accepted before this Core began
			}
			if h.Phase >= Running {
				c.began(l)
			}
			if h.Phase == Ended {
				c.unreported(l)
			}
		}
	}
}

// unreported notes that the peer of an attempt says that it has ended. Its report
// comes with that, or soon after, unless it is one that cannot be read.
func (c *Core) unreported(l *live) {
	switch {
	case l.endedAt == 0:
		l.endedAt = c.now
	case c.now >= l.endedAt+endedLeases*c.cfg.Lease:
		c.lose(l, lostFailed, "its peer says that it has ended, but gives no report that can be read")
	}
}

// lose ends an attempt that came to nothing, and goes on with the next one, or
// gives the task up if it has had enough.
func (c *Core) lose(l *live, cause cause, why string) {
	u, e := l.unit, l.unit.entry
	if u.live != l {
		return
	}
	from, blame := l.peer, cause.blames(l.peer.id, c.cfg.Self)
	if !blame {
		e.class.refused(from, c.now)
	}
	c.detach(u)
	c.append(e, job.Event{Attempt: l.attempt, Kind: job.Lost, Peer: from.id, Reason: why, Blame: blame, Failed: cause == lostFailed})
	if c.eff.Fault != nil {
		return
	}
	t := e.latest().Tasks[u.task]
	if spent(t) {
		c.append(e, job.Event{Attempt: l.attempt, Kind: job.GaveUp, Reason: epitaph(e.latest(), u.task)})
		return
	}
	if blame {
		u.tryAgain = c.now + retryAfter(t.Lost)
	}
	c.enqueue(u)
	c.drain(e.class)
}
