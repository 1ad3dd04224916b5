package scheduler

import (
	"reflect"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	for _, line := range w.trace[max(0, len(w.trace)-40):] {
		w.t.Log(line)
	}
	w.t.Fatalf("seed %d at %v: "+format, append([]any{w.seed, w.now}, args...)...)
}

// checkEvents replays what becomes durable on its own, and refuses what does not
// follow: among others anything after an end, and a result of another attempt or
// another peer than it says.
func (w *world) checkEvents(p *simPeer, events []job.Event) {
	for _, ev := range events {
		w.note("%s commits %s %v %s %s", p.id, ev.Kind, ev.Attempt, ev.Peer, ev.Reason)
		j := p.truth[ev.Job]
		if j == nil {
			j = &job.Job{}
			p.truth[ev.Job] = j
		}
		if err := j.Apply(ev); err != nil {
			w.fail("%s commits what does not follow: %v", p.id, err)
		}
		t := &j.Tasks[ev.Task]
		switch {
		case ev.Kind == job.Lost && ev.Blame && ev.Peer == p.id && !ev.Failed:
			w.fail("%s blames itself for %v: %s", p.id, ev.Attempt, ev.Reason)
		case ev.Kind == job.GaveUp && len(t.Tried) < maxBlamed && t.Failures < maxBlamed:
			w.fail("%s gives up %v: %+v", p.id, ev.Attempt, *t)
		case w.gentle && (ev.Blame || ev.Kind == job.GaveUp):
			w.fail("%s commits %s of %v with blame in a world where nothing fails: %s", p.id, ev.Kind, ev.Attempt, ev.Reason)
		}
		if ev.Kind == job.Finished {
			if by := w.byID[ev.Peer]; ev.Result.Outputs[0].CID != by.mark(ev.Attempt) {
				w.fail("%s commits for attempt %v at %s the result %s", p.id, ev.Attempt, ev.Peer, ev.Result.Outputs[0].CID)
			}
		}
	}
}

// checkCore asserts that nothing is said before it is durable, that the Core
// agrees with its log, and that it stays within bounds.
func (w *world) checkCore(p *simPeer, in Input, eff Effects) {
	if eff.Fault != nil {
		w.fail("%s: %v", p.id, eff.Fault)
	}
	for _, m := range eff.Send {
		w.checkSpoken(p, m)
	}
	for _, a := range eff.Answers {
		if j := p.truth[a.ID]; a.Err == nil && j == nil {
			w.fail("%s acknowledges job %s, which is not durable", p.id, a.ID)
		}
	}
	if c, ok := in.(Committed); ok {
		for _, ev := range c.Events {
			w.checkJob(p, ev.Job)
		}
	}
	for _, ev := range eff.Append {
		w.checkJob(p, ev.Job)
	}
	for _, q := range p.core.roster {
		var promised job.Room
		for _, l := range q.live {
			if l.unit.live != l || l.peer != q {
				w.fail("%s believes in an attempt of %s that is not current: %v", p.id, q.id, l.attempt)
			}
			if !l.answered {
				promised = promised.Plus(l.need)
			}
		}
		if promised != q.promised {
			w.fail("%s has promised %v to %s, and counts %v", p.id, promised, q.id, q.promised)
		}
	}
	if n, most := p.core.timers.Len(), 8*(len(p.core.jobs)+len(p.core.peers)+1); n > most {
		w.fail("%s has set %d timers", p.id, n)
	}
	if len(p.core.classes) > p.core.open || p.core.open > len(p.core.jobs) {
		w.fail("%s: %d classes, %d open jobs of %d", p.id, len(p.core.classes), p.core.open, len(p.core.jobs))
	}
}

// checkSpoken asserts that the event that a message speaks of is durable.
func (w *world) checkSpoken(p *simPeer, m Outgoing) {
	task := func(a job.Attempt) *job.Progress {
		if j := p.truth[a.Job]; j != nil {
			return &j.Tasks[a.Task]
		}
		return nil
	}
	current := func(t *job.Progress, a job.Attempt) bool {
		return t != nil && !t.State.Terminal() && t.Attempt == a.Attempt && t.Executor == m.To
	}
	switch msg := m.Message.(type) {
	case Award:
		if t := task(msg.Attempt); !current(t, msg.Attempt) {
			w.fail("%s awards %v to %s; durable is %+v", p.id, msg.Attempt, m.To, t)
		}
	case Withdraw:
		if t := task(msg.Attempt); current(t, msg.Attempt) {
			w.fail("%s withdraws %v from %s; durable is %+v", p.id, msg.Attempt, m.To, t)
		}
	case ReportAck:
		if t := task(msg.Attempt); current(t, msg.Attempt) {
			w.fail("%s acknowledges %v to %s; durable is %+v", p.id, msg.Attempt, m.To, t)
		}
	case Ask:
		for _, a := range msg.Attempts {
			if t := task(a); t == nil || t.Attempt < a.Attempt {
				w.fail("%s asks %s about %v, which is not durable", p.id, m.To, a)
			}
		}
	}
}

// checkJob asserts that the Core's view of a job is the log's, and that it
// believes in at most one live attempt of it.
func (w *world) checkJob(p *simPeer, id job.ID) {
	e := p.core.jobs[id]
	if j := p.truth[id]; j != nil && !reflect.DeepEqual(&e.job, j) {
		w.fail("%s sees %+v, durable is %+v", p.id, e.job, *j)
	}
	if e.latest().Terminal() != (e.class == nil) {
		w.fail("%s: job %s is %s and has a class: %v", p.id, id, e.latest().State(), e.class != nil)
	}
	if (e.inflight == 0) != (e.tail == nil) {
		w.fail("%s: job %s has %d events on the way", p.id, id, e.inflight)
	}
	for i := range e.units {
		u, t := &e.units[i], e.latest().Tasks[i]
		has := t.State == job.Awarded || t.State == job.Running
		switch {
		case has != (u.live != nil):
			w.fail("%s: task %d of %s is %s, live: %v", p.id, i, id, t.State, u.live != nil)
		case has && (u.live.attempt.Attempt != t.Attempt || u.live.peer.id != t.Executor):
			w.fail("%s: task %d of %s has attempt %d at %s, believed is %v at %s", p.id, i, id, t.Attempt, t.Executor, u.live.attempt, u.live.peer.id)
		}
	}
}

// checkReplay asserts that replaying the disk gives the jobs that a Core has.
func (w *world) checkReplay(p *simPeer) {
	again := NewCore(Config{Self: p.id, Boot: 1, Ledger: p.ledger()})
	for _, ev := range p.disk {
		if err := again.Replay(ev); err != nil {
			w.fail("%s: replay: %v", p.id, err)
		}
	}
	if !reflect.DeepEqual(again.IDs(), p.core.IDs()) {
		w.fail("%s: replay gives jobs %v, the Core has %v", p.id, again.IDs(), p.core.IDs())
	}
	for _, id := range again.IDs() {
		if !reflect.DeepEqual(again.jobs[id].job, p.core.jobs[id].job) {
			w.fail("%s: replay gives %+v, the Core has %+v", p.id, again.jobs[id].job, p.core.jobs[id].job)
		}
	}
}

// checkStart asserts that no process runs an attempt twice.
func (w *world) checkStart(p *simPeer, s Start) {
	w.note("%s runs %v", p.id, s.Attempt)
	if p.started[s.Charge] {
		w.fail("%s runs %v a second time", p.id, s.Attempt)
	}
}

// checkWorker asserts that reservations are those of what runs, and bounds.
func (w *world) checkWorker(p *simPeer) {
	free, running := p.room, 0
	for _, h := range p.worker.order {
		if p.worker.held[h.Charge] != h {
			w.fail("%s holds %v half", p.id, h.Attempt)
		}
		if h.phase != Ended {
			free = job.Room{CPU: free.CPU - h.need.CPU, Memory: free.Memory - h.need.Memory}
			running++
		}
	}
	if free != p.worker.free || free.CPU < 0 || free.Memory < 0 || running != p.worker.running {
		w.fail("%s has %v free and %d running, and counts %v and %d", p.id, free, running, p.worker.free, p.worker.running)
	}
	if len(p.worker.order) != len(p.worker.held) || len(p.worker.held) > maxHeld || len(p.worker.fence.highest) > fenceEntries {
		w.fail("%s holds %d, in order %d, fence %d", p.id, len(p.worker.held), len(p.worker.order), len(p.worker.fence.highest))
	}
}
