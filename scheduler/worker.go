package scheduler

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Worker is the executor's side: what this node has taken on for the owners of
// jobs, other peers or itself.
//
//	Award ─► Starting ─► Running ─► Ended ── ReportAck, Withdraw ─► forgotten
//	            │           └─ Withdraw ─► ending ─┐
//	            └─────────── Withdraw ─► ending ───┴─ Exited ─► forgotten
//
// Room is reserved when an award is accepted and free again when the runner says
// that nothing of the attempt is left, whoever knows or wants it by then.
//
// A Worker is a value for one goroutine.
type Worker struct {
	cfg     Config
	now     time.Duration
	held    map[Charge]*holding
	order   []*holding // of held, oldest first
	free    job.Room
	running int
	leaving bool
	fence   fence
	bidding bidding
	wake    time.Duration // no holding needs a look before
	eff     WorkerEffects
}

// holding is an attempt that this node has.
type holding struct {
	Charge
	need   job.Room
	phase  Phase
	ending bool // it was withdrawn; it is forgotten when nothing of it is left
	report Report
	resend time.Duration
	pause  time.Duration
	spoken time.Duration // when the owner last spoke of it, or was told of it
	since  time.Duration // when it ended
}

const (
	maxHeld      = 1024               // attempts that run, or whose report nobody has acknowledged
	slowest      = time.Minute        // between two repetitions of a report
	keepReports  = 7 * 24 * time.Hour // for owners that do not come back
	fenceEntries = 4096
)

// NewWorker makes a Worker that holds nothing.
func NewWorker(cfg Config) *Worker {
	cfg = cfg.withDefaults()
	return &Worker{cfg: cfg, held: map[Charge]*holding{}, free: cfg.Room, fence: newFence(fenceEntries)}
}

// Step takes in one input. now never goes backwards. What WorkerEffects holds
// belongs to the caller.
func (w *Worker) Step(now time.Duration, in WorkerInput) WorkerEffects {
	w.now = max(w.now, now)
	switch in := in.(type) {
	case Received:
		w.received(in.From, in.Message)
	case Ran:
		w.ran(in.Charge)
	case Exited:
		w.exited(in)
	case PeerSeen:
		if in.ID == w.cfg.Self {
			w.cfg.Labels = in.Labels
		}
		w.bidding.met(in.ID)
		w.repeat(in.ID)
	case PeerGone:
		w.bidding.parted(in.ID)
	case Leave:
		w.leaving = true
	}
	if w.wake != 0 && w.now >= w.wake {
		w.sweep()
	}
	w.eff.Publish = w.bidding.publish(w)
	eff := w.eff
	w.eff = WorkerEffects{}
	eff.Wake = earliest(w.wake, w.bidding.next)
	return eff
}

// Held reports whether the node has the attempt: it runs, or its report is not
// acknowledged.
func (w *Worker) Held(c Charge) bool { return w.held[c] != nil }

func (w *Worker) received(from job.PeerID, m Message) {
	switch m := m.(type) {
	case Award:
		w.award(from, m)
	case Withdraw:
		w.raise(from, m.Attempt)
		if h := w.held[Charge{from, m.Attempt}]; h != nil {
			w.end(h)
		}
	case ReportAck:
		if h := w.held[Charge{from, m.Attempt}]; h != nil && h.phase == Ended {
			w.drop(h)
		}
	case Ask:
		w.ask(from, m)
	}
}

// award takes the attempt on, or says why not. The same award again gets the
// same answer.
func (w *Worker) award(from job.PeerID, m Award) {
	a := m.Attempt
	if h := w.held[Charge{from, a}]; h != nil {
		switch {
		case h.ending:
			w.decline(from, a, "it was withdrawn")
		case h.phase == Ended:
			w.sendReport(h)
		default:
			h.spoken = w.now
			w.send(from, Accept{Attempt: a, Bid: w.bid()})
		}
		return
	}
	want := need(m.Spec)
	switch bad := runnable(m.Spec); {
	case !w.accepts(from):
		w.decline(from, a, fmt.Sprintf("it does not run jobs of peer %s; its operator can have it do so with serve --accept-from %s", from.Short(), from))
	case w.leaving:
		w.decline(from, a, "the node is stopping")
	case !w.fence.admits(from, a):
		w.decline(from, a, "this attempt, or a later one, has been here already")
	case bad != nil:
		w.decline(from, a, "its spec is not one that runs: "+bad.Error())
	case w.cfg.Labels[engineWASM] == "":
		w.decline(from, a, "this node has no engine for it")
	case !offersAll(w.cfg.Labels, m.Spec.Mounts()):
		w.decline(from, a, "it does not offer "+mountWords(m.Spec.Mounts()))
	case len(w.held) >= maxHeld:
		w.decline(from, a, "too many attempts are held here")
	case !w.free.Holds(want):
		w.endLower(from, a)
		w.decline(from, a, "no room")
	default:
		w.endLower(from, a)
		w.fence.raise(from, a)
		h := &holding{Charge: Charge{from, a}, need: want, phase: Starting, spoken: w.now}
		w.held[h.Charge] = h
		w.order = append(w.order, h)
		w.free = w.free.Minus(want)
		w.running++
		w.look(w.now + w.cfg.Lease)
		w.send(from, Accept{Attempt: a, Bid: w.bid()})
		w.eff.Start = append(w.eff.Start, Start{Charge: h.Charge, Spec: m.Spec})
	}
}

// runnable looks at the spec of an award as closely as its owner should have: the
// runner, and what is reserved for it, rely on that.
func runnable(s job.Spec) error {
	if err := s.Validate(); err != nil {
		return err
	}
	return s.Resolved()
}

// endLower ends earlier attempts at the same task: their owner has moved on.
func (w *Worker) endLower(from job.PeerID, a job.Attempt) {
	for _, h := range slices.Clone(w.order) {
		if h.Owner == from && h.Attempt.Job == a.Job && h.Attempt.Task == a.Task && h.Attempt.Attempt < a.Attempt {
			w.end(h)
		}
	}
}

func (w *Worker) decline(to job.PeerID, a job.Attempt, why string) {
	w.send(to, Decline{Attempt: a, Bid: w.bid(), Reason: clean(why)})
}

func (w *Worker) ask(from job.PeerID, m Ask) {
	answer := Holding{Boot: w.cfg.Boot}
	for _, a := range m.Attempts {
		phase := Gone
		if h := w.held[Charge{from, a}]; h != nil && !h.ending {
			phase = h.phase
			h.spoken = w.now
			if phase == Ended {
				w.sendReport(h)
			}
		} else {
			w.raise(from, a) // it is lost for its owner from now on
		}
		answer.Attempts = append(answer.Attempts, Held{Attempt: a, Phase: phase})
	}
	w.send(from, answer)
}

func (w *Worker) ran(c Charge) {
	if h := w.held[c]; h != nil && h.phase == Starting && !h.ending {
		h.phase = Running
		w.send(h.Owner, Started{Attempt: c.Attempt})
	}
}

// exited frees the room of an attempt and reports it to its owner.
func (w *Worker) exited(in Exited) {
	h := w.held[in.Charge]
	if h == nil || h.phase == Ended {
		return
	}
	w.free = w.free.Plus(h.need)
	w.running--
	h.phase, h.since = Ended, w.now
	if h.ending {
		w.drop(h)
		return
	}
	h.report = report(in)
	w.sendReport(h)
}

// report says how an attempt ended, in a form that its owner can read: one that
// it could not would be repeated for a week.
func report(in Exited) Report {
	in.Result.Error = clean(in.Result.Error)
	r := Report{Attempt: in.Attempt, Result: in.Result, Failure: clean(in.Failure), Leaving: in.Leaving}
	if err := readable(r); err != nil {
		r.Result, r.Failure = job.Result{}, clean(fmt.Sprintf("its result cannot be reported: %v", err))
	}
	return r
}

func (w *Worker) sendReport(h *holding) {
	h.pause = min(max(firstResend, 2*h.pause), slowest)
	h.resend = w.now + h.pause
	w.look(h.resend)
	r := h.report
	r.Bid = w.bid()
	w.send(h.Owner, r)
}

// repeat reports at once to an owner that has come back.
func (w *Worker) repeat(owner job.PeerID) {
	for _, h := range w.order {
		if h.Owner == owner && h.phase == Ended && w.now > h.resend-h.pause {
			h.pause = 0
			w.sendReport(h)
		}
	}
}

// end ends an attempt that nobody wants any more.
func (w *Worker) end(h *holding) {
	switch {
	case h.phase == Ended:
		w.drop(h)
	case !h.ending:
		h.ending = true
		w.eff.Kill = append(w.eff.Kill, h.Charge)
	}
}

func (w *Worker) drop(h *holding) {
	delete(w.held, h.Charge)
	w.order = slices.DeleteFunc(w.order, func(o *holding) bool { return o == h })
}

// sweep repeats reports, and tells owners that have not spoken of an attempt for
// a lease that it is here: they may have forgotten it.
func (w *Worker) sweep() {
	w.wake = 0
	var owners []job.PeerID
	silent := map[job.PeerID][]Held{}
	for _, h := range slices.Clone(w.order) {
		switch {
		case h.phase == Ended && w.now >= h.since+keepReports:
			w.drop(h)
		case h.phase == Ended && w.now >= h.resend:
			w.sendReport(h)
		case h.phase == Ended:
			w.look(h.resend)
		case h.ending:
		case w.now >= h.spoken+w.cfg.Lease && len(silent[h.Owner]) < maxAsked:
			if silent[h.Owner] == nil {
				owners = append(owners, h.Owner)
			}
			silent[h.Owner] = append(silent[h.Owner], Held{Attempt: h.Attempt, Phase: h.phase})
			h.spoken = w.now
			w.look(w.now + w.cfg.Lease)
		default:
			w.look(max(w.now+1, h.spoken+w.cfg.Lease))
		}
	}
	for _, o := range owners {
		w.send(o, Holding{Boot: w.cfg.Boot, Attempts: silent[o]})
	}
}

// look sees to it that sweep runs no later than at.
func (w *Worker) look(at time.Duration) { w.wake = earliest(w.wake, at) }

func (w *Worker) send(to job.PeerID, m Message) {
	w.eff.Send = append(w.eff.Send, Outgoing{To: to, Message: m})
}

// earliest is the earlier of two times of which 0 means never.
func earliest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
