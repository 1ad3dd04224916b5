package scheduler

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// submitting sends a job to its owner until that acknowledges it, as a client
// does that loses answers.
func (w *world) submitting(j *simJob, call uint64) {
	if j.acked {
		return
	}
	if j.owner.up {
		j.owner.toCore(Submit{Call: call, ID: j.id, Spec: j.spec})
	}
	w.after(time.Second, func() { w.submitting(j, call) })
}

func (w *world) cancelling(j *simJob, call uint64) {
	if t := j.owner.truth[j.id]; t != nil && t.Terminal() {
		return
	}
	if j.owner.up && j.acked {
		j.owner.toCore(Cancel{Call: call, ID: j.id, Reason: "enough"})
	}
	w.after(2*time.Second, func() { w.cancelling(j, call) })
}

func (w *world) answered(p *simPeer, a Answer) {
	j := w.jobs[a.Call>>1]
	switch {
	case a.Call&1 == 1 && a.Err != nil && !errors.Is(a.Err, ErrEnded):
		w.fail("%s: cancel of %s: %v", p.id, a.ID, a.Err)
	case a.Call&1 == 1 && a.Err == nil && p.truth[a.ID].State() != job.Cancelled:
		w.fail("%s: cancel of %s was acknowledged, durable is %s", p.id, a.ID, p.truth[a.ID].State())
	case a.Call&1 == 0 && a.Err != nil:
		w.fail("%s: submit of %s: %v", p.id, a.ID, a.Err)
	case a.Call&1 == 0:
		j.acked = true
	}
}

// load lets jobs come in over the time given.
func (w *world) load(jobs int, over time.Duration) {
	for n := range jobs {
		p := w.peers[w.rng.IntN(len(w.peers))]
		j := &simJob{owner: p, id: job.NewID(p.ledger(), fmt.Sprint(n)), cancel: w.chance(0.15)}
		j.spec = job.Spec{Task: job.Task{WASM: &job.WASM{Module: aModule}}, Outputs: []job.OutputDir{{Name: "by", At: "/by"}},
			Resources: job.Resources{CPU: job.CPU(500 * (1 + w.rng.IntN(6))), Memory: 1 << 30}}
		if w.chaos && w.chance(0.02) {
			j.spec.Name = "cannot"
		}
		if w.chance(0.3) {
			j.spec.Where = fmt.Sprintf("zone=%d", w.rng.IntN(min(3, len(w.peers))))
		}
		w.jobs = append(w.jobs, j)
		at := w.between(0, over)
		w.after(at, func() { w.submitting(j, uint64(2*n)) })
		if j.cancel {
			w.after(at+w.between(0, 10*time.Second), func() { w.cancelling(j, uint64(2*n+1)) })
		}
	}
}

// trouble crashes and cuts now and then, until the time given.
func (w *world) trouble(until time.Duration) {
	w.after(w.between(time.Second, 10*time.Second), func() {
		if w.now > until {
			return
		}
		if p := w.peers[w.rng.IntN(len(w.peers))]; p.up && w.chance(0.4) {
			if w.chance(0.3) {
				p.leave()
			} else {
				p.crash()
			}
			w.after(w.between(100*time.Millisecond, 20*time.Second), p.start)
		} else if w.chance(0.5) {
			// One from another, or from all of them.
			a, b, all := w.rng.IntN(len(w.peers)), w.rng.IntN(len(w.peers)), w.chance(0.3)
			last := w.between(time.Second, 40*time.Second)
			for i := range w.peers {
				if i == b || all {
					w.part(a, i, last)
				}
			}
		}
		w.trouble(until)
	})
}

// part cuts two peers off from one another for a while.
func (w *world) part(a, b int, last time.Duration) {
	pair := [2]int{min(a, b), max(a, b)}
	w.cut = append(w.cut, pair)
	w.after(last, func() {
		if i := slices.Index(w.cut, pair); i >= 0 {
			w.cut = slices.Delete(w.cut, i, i+1)
		}
	})
}

// lifetime is a whole life: a minute of trouble, then calm until all is done.
func lifetime(t testing.TB, seed uint64, peers, jobs int, b bugs, tracing bool) *world {
	w := newWorld(t, seed, peers)
	w.bugs, w.tracing = b, tracing
	w.load(jobs, 30*time.Second)
	w.trouble(time.Minute)
	w.run(time.Minute + 20*time.Second)
	w.chaos, w.cut = false, nil
	w.note("calm")
	for calm := 0; calm < 60 && !w.finished(); calm++ {
		w.run(w.now + 10*time.Second)
	}
	w.checkEnd()
	return w
}

// finished reports whether every job has ended and nobody holds anything.
func (w *world) finished() bool {
	for _, j := range w.jobs {
		if t := j.owner.truth[j.id]; t == nil || !t.Terminal() {
			return false
		}
	}
	for _, p := range w.peers {
		if len(p.worker.held) > 0 || len(p.pending) > 0 {
			return false
		}
	}
	return true
}

// checkEnd asserts liveness: with the faults gone, every job came to an end, and
// nothing is left of it anywhere.
func (w *world) checkEnd() {
	for _, j := range w.jobs {
		t := j.owner.truth[j.id]
		switch {
		case t == nil || !j.acked:
			w.fail("job %s of %s was never taken", j.id, j.owner.id)
		case !t.Terminal():
			w.fail("job %s of %s is still %s: %s, %+v", j.id, j.owner.id, t.State(), j.owner.core.Explain(j.id), t.Tasks)
		}
	}
	for _, p := range w.peers {
		if len(p.worker.held) > 0 || p.worker.free != p.room {
			w.fail("%s still holds %d attempts and has %v free", p.id, len(p.worker.held), p.worker.free)
		}
		if c := p.core; c.open != 0 || len(c.classes) != 0 || c.waiting.Len() != 0 {
			w.fail("%s still drives %d jobs, %d classes, %d wait", p.id, c.open, len(c.classes), c.waiting.Len())
		}
		for _, q := range p.core.roster {
			if q.promised != (job.Room{}) || len(q.live) != 0 {
				w.fail("%s still counts on %s: %v, %d", p.id, q.id, q.promised, len(q.live))
			}
		}
		w.checkReplay(p)
	}
}

func TestSimSameSeedSameTrace(t *testing.T) {
	a := lifetime(t, 42, 5, 20, bugs{}, true).trace
	b := lifetime(t, 42, 5, 20, bugs{}, true).trace
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("line %d:\n%s\n%s", i, a[i], b[i])
		}
	}
	if len(a) != len(b) || len(a) < 100 {
		t.Fatalf("%d and %d lines", len(a), len(b))
	}
}

func TestSimSeeds(t *testing.T) {
	steps, ended, happened := 0, map[job.State]int{}, map[job.Kind]int{}
	for seed := range uint64(200) {
		w := lifetime(t, seed, 5, 20, bugs{}, false)
		steps += w.steps
		for _, j := range w.jobs {
			ended[j.owner.truth[j.id].State()]++
		}
		for _, p := range w.peers {
			for _, ev := range p.disk {
				happened[ev.Kind]++
			}
		}
	}
	// The world is worth something only if all of this happens in it.
	for k := job.Submitted; k <= job.CancelledBy; k++ {
		if happened[k] == 0 {
			t.Errorf("%s never happened", k)
		}
	}
	t.Logf("%d steps, jobs ended so: %v; events: %v", steps, ended, happened)
}

// restarts ends one process after the other, with a word or without one, and
// starts it again before anybody takes it for dead.
func (w *world) restarts(n int, every time.Duration) {
	if n == 0 {
		return
	}
	w.after(w.between(every/2, every), func() {
		if p := w.peers[w.rng.IntN(len(w.peers))]; p.up {
			if w.chance(0.5) {
				p.leave()
			} else {
				p.boot, p.up, p.pending = p.boot+1, false, nil // power cut: boots are never used again
				w.note("the power of %s is cut", p.id)
			}
			w.after(w.between(10*time.Millisecond, time.Second), p.start)
		}
		w.restarts(n-1, every)
	})
}

// However often people restart their machines under a job, it is not given up.
func TestSimRestartsBlameNobody(t *testing.T) {
	often := 0
	for seed := range uint64(15) {
		for _, peers := range []int{1, 4} {
			w := gentle(t, seed, peers, bugs{})
			for _, j := range w.jobs {
				is := j.owner.truth[j.id]
				if s := is.State(); s != job.Done && !(j.cancel && s == job.Cancelled) {
					w.fail("job %s of %s is %s", j.id, j.owner.id, s)
				}
				if is.Tasks[0].Attempt > 2*maxBlamed {
					often++
				}
			}
		}
	}
	if often < 20 {
		t.Errorf("only %d jobs were lost that often", often)
	}
}

// A job that kills whoever runs it does not walk through the swarm.
func TestSimPoisonousJob(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t, seed, 12)
		w.chaos = false
		w.run(time.Second) // everybody has heard everybody's bid
		p := w.peers[0]
		j := &simJob{owner: p, id: job.NewID(p.ledger(), "poison"), spec: job.Spec{Name: "poison", Where: "index!=0",
			Task: job.Task{WASM: &job.WASM{Module: aModule}}, Resources: job.Resources{CPU: 1000, Memory: 1 << 30}}}
		w.jobs = []*simJob{j}
		w.submitting(j, 0)
		for calm := 0; calm < 60 && !w.finished(); calm++ {
			w.run(w.now + 10*time.Second)
		}
		w.checkEnd()
		is := p.truth[j.id]
		if is.State() != job.Failed || len(is.Tasks[0].Tried) != maxBlamed || is.Tasks[0].Failures != 0 {
			w.fail("it is %s: %+v", is.State(), is.Tasks[0])
		}
	}
}

// gentle is a life with nothing but restarts in it: more of them than a task may
// have failures.
func gentle(t testing.TB, seed uint64, peers int, b bugs) *world {
	w := newWorld(t, seed, peers)
	w.bugs, w.chaos, w.gentle = b, false, true
	w.load(8, time.Second)
	w.restarts(20*peers, 8*time.Second/time.Duration(peers))
	for calm := 0; calm < 100 && !w.finished(); calm++ {
		w.run(w.now + 10*time.Second)
	}
	w.checkEnd()
	return w
}

func TestSimAlone(t *testing.T) {
	for seed := range uint64(20) {
		lifetime(t, seed, 1, 10, bugs{}, false)
	}
}

func TestSimLarger(t *testing.T) {
	w := lifetime(t, 1, 40, 200, bugs{}, false)
	t.Logf("%d steps, %d messages", w.steps, w.sent)
}

// catcher makes a failing check end the run and remembers why.
type catcher struct {
	testing.TB
	why string
}

type caught struct{}

func (c *catcher) Helper()         {}
func (c *catcher) Log(args ...any) {}
func (c *catcher) Fatalf(format string, args ...any) {
	c.why = fmt.Sprintf(format, args...)
	panic(caught{})
}

// catches runs seeds until a planted bug is found.
func catches(t *testing.T, want string, b bugs) {
	t.Helper()
	catchesIn(t, want, func(c *catcher, seed uint64) { lifetime(c, seed, 5, 20, b, false) })
}

func catchesIn(t *testing.T, want string, life func(*catcher, uint64)) {
	t.Helper()
	for seed := range uint64(100) {
		c := &catcher{TB: t}
		func() {
			defer func() {
				if r := recover(); r != nil && r != any(caught{}) {
					panic(r)
				}
			}()
			life(c, seed)
		}()
		if c.why != "" {
			if !strings.Contains(c.why, want) {
				t.Errorf("it was found for another reason: %s", c.why)
			}
			return
		}
	}
	t.Error("no seed found it")
}

func TestSimFindsSendingBeforeCommit(t *testing.T) {
	catches(t, "awards", bugs{effect: func(_ *simPeer, eff *Effects) {
		for _, ev := range eff.Append {
			if ev.Kind == job.AwardedTo {
				eff.Send = append(eff.Send, Outgoing{ev.Peer, Award{Attempt: ev.Attempt}})
			}
		}
	}})
}

func TestSimFindsAcknowledgingBeforeCommit(t *testing.T) {
	catches(t, "not durable", bugs{effect: func(p *simPeer, eff *Effects) {
		for _, ev := range eff.Append {
			if ev.Kind == job.Submitted {
				eff.Answers = append(eff.Answers, Answer{ID: ev.Job})
			}
		}
	}})
}

func TestSimFindsAcceptingAnOldAttempt(t *testing.T) {
	catches(t, "the result", bugs{core: func(p *simPeer, in Input) Input {
		if m, ok := in.(Received); ok {
			if r, ok := m.Message.(Report); ok {
				if e := p.core.jobs[r.Attempt.Job]; e != nil && e.class != nil && e.units[0].live != nil && e.units[0].live.committed {
					r.Attempt = e.units[0].live.attempt // as if nobody looked at it
					return Received{e.units[0].live.peer.id, r}
				}
			}
		}
		return in
	}})
}

func TestSimFindsBlameForARestart(t *testing.T) {
	b := bugs{effect: func(_ *simPeer, eff *Effects) {
		for i := range eff.Append {
			if eff.Append[i].Kind == job.Lost {
				eff.Append[i].Blame = true
			}
		}
	}}
	catches(t, "blames itself", b)
	catchesIn(t, "nothing fails", func(c *catcher, seed uint64) { gentle(c, seed, 4, b) })
}

func TestSimFindsAMissingFence(t *testing.T) {
	catches(t, "a second time", bugs{worker: func(p *simPeer, in WorkerInput) {
		p.worker.fence = newFence(16)
	}})
}

func BenchmarkSimStep(b *testing.B) {
	steps := 0
	for seed := uint64(0); b.Loop(); seed++ {
		steps += lifetime(b, seed, 5, 20, bugs{}, false).steps
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(steps), "ns/step")
}
