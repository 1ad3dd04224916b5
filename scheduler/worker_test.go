package scheduler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

func newTestWorker() *Worker {
	return NewWorker(Config{Self: "w", Boot: 1, Ledger: "lllll", Labels: map[string]string{"wasm": "wazero"}, Room: job.Room{CPU: 4000, Memory: 4 << 30}})
}

func attempt(id job.ID, n int) job.Attempt { return job.Attempt{Job: id, Attempt: n} }

func charge(id job.ID, n int) Charge { return Charge{"owner", attempt(id, n)} }

func award(w *Worker, now time.Duration, id job.ID, n int) (WorkerEffects, Message) {
	eff := w.Step(now, Received{"owner", Award{attempt(id, n), tiny("", "")}})
	if len(eff.Send) == 0 {
		return eff, nil
	}
	return eff, eff.Send[len(eff.Send)-1].Message
}

func TestWorkerLife(t *testing.T) {
	w := newTestWorker()
	eff, m := award(w, 1, "a", 1)
	if acc, ok := m.(Accept); !ok || acc.Bid.Free.CPU != 3000 || acc.Bid.Jobs != 1 || len(eff.Start) != 1 {
		t.Fatalf("%+v, start %v", m, eff.Start)
	}
	// The same once more: the same answer, no second start.
	if eff, m = award(w, 2, "a", 1); len(eff.Start) != 0 {
		t.Fatal("started twice")
	} else if _, ok := m.(Accept); !ok {
		t.Fatalf("%+v", m)
	}
	eff = w.Step(3, Ran{charge("a", 1)})
	if m, ok := eff.Send[0].Message.(Started); !ok || m.Attempt != attempt("a", 1) {
		t.Fatalf("%+v", eff.Send)
	}
	eff = w.Step(4, Exited{Charge: charge("a", 1), Result: job.Result{Exit: 3}})
	if m, ok := eff.Send[0].Message.(Report); !ok || m.Result.Exit != 3 || m.Bid.Free.CPU != 4000 {
		t.Fatalf("%+v", eff.Send)
	}
	// A stranger cannot acknowledge it.
	w.Step(5, Received{"stranger", ReportAck{attempt("a", 1)}})
	if !w.Held(charge("a", 1)) {
		t.Fatal("a stranger's word counted")
	}
	w.Step(6, Received{"owner", ReportAck{attempt("a", 1)}})
	if w.Held(charge("a", 1)) {
		t.Fatal("still held")
	}
	if _, m = award(w, 7, "a", 1); m.(Decline).Reason == "" {
		t.Fatalf("what has been here runs again: %+v", m)
	}
}

func TestWorkerRepeatsReports(t *testing.T) {
	w := newTestWorker()
	award(w, 1, "a", 1)
	eff := w.Step(2, Exited{Charge: charge("a", 1)})
	reports, now := 0, time.Duration(2)
	for now < 30*time.Minute {
		now = max(now+1, eff.Wake)
		eff = w.Step(now, Tick{})
		for _, o := range eff.Send {
			if _, ok := o.Message.(Report); ok {
				reports++
			}
		}
	}
	if reports < 20 || reports > 60 {
		t.Errorf("%d reports in half an hour", reports)
	}
	eff = w.Step(now+time.Second, PeerSeen{ID: "owner", Boot: 2})
	if len(eff.Send) != 1 {
		t.Errorf("the owner is back and hears %v", eff.Send)
	}
	for now < keepReports+time.Hour {
		now = max(now+1, eff.Wake)
		eff = w.Step(now, Tick{})
	}
	if len(w.held) != 0 {
		t.Error("a report is kept for ever")
	}
}

func TestWorkerRoom(t *testing.T) {
	w := newTestWorker()
	for _, id := range []job.ID{"a", "b", "c", "d"} {
		if _, m := award(w, 1, id, 1); m == nil {
			t.Fatal("no answer")
		}
	}
	_, m := award(w, 2, "e", 1)
	if d, ok := m.(Decline); !ok || d.Bid.Free.CPU != 0 {
		t.Fatalf("%+v", m)
	}
	// Withdrawn: the room is free when nothing is left of it, not before.
	eff := w.Step(3, Received{"owner", Withdraw{attempt("a", 1)}})
	if len(eff.Kill) != 1 || w.free.CPU != 0 {
		t.Fatalf("kill %v, free %v", eff.Kill, w.free)
	}
	eff = w.Step(4, Exited{Charge: charge("a", 1), Failure: "killed"})
	if len(eff.Send) != 0 || w.free.CPU != 1000 || w.Held(charge("a", 1)) {
		t.Fatalf("sent %v, free %v", eff.Send, w.free)
	}
	if _, m = award(w, 5, "e", 1); m.(Accept).Bid.Free.CPU != 0 {
		t.Fatalf("%+v", m)
	}
	// An exit that is told twice frees nothing twice.
	w.Step(6, Exited{Charge: charge("e", 1)})
	w.Step(7, Exited{Charge: charge("e", 1)})
	if w.free.CPU != 1000 {
		t.Errorf("free %v", w.free)
	}
}

func TestWorkerHigherAttemptEndsLower(t *testing.T) {
	w := newTestWorker()
	award(w, 1, "a", 1)
	eff, m := award(w, 2, "a", 2)
	if _, ok := m.(Accept); !ok || len(eff.Kill) != 1 || eff.Kill[0] != charge("a", 1) {
		t.Fatalf("%+v, kill %v", m, eff.Kill)
	}
	if _, m = award(w, 3, "a", 1); m.(Decline).Reason != "it was withdrawn" {
		t.Fatalf("%+v", m)
	}
	// An award that a Withdraw has overtaken does not run.
	w.Step(4, Received{"owner", Withdraw{attempt("b", 3)}})
	if _, m = award(w, 5, "b", 3); m.(Decline).Reason == "" {
		t.Fatalf("%+v", m)
	}
}

func TestWorkerSpeaksUpWhenForgotten(t *testing.T) {
	w := newTestWorker()
	award(w, 1, "a", 1)
	w.Step(2, Ran{charge("a", 1)})
	var heard []Held
	for now := time.Second; now < 40*time.Second; now += time.Second {
		for _, o := range w.Step(now, Tick{}).Send {
			heard = append(heard, o.Message.(Holding).Attempts...)
		}
	}
	if len(heard) != 2 || heard[0] != (Held{attempt("a", 1), Running}) {
		t.Errorf("in 40 s: %v", heard)
	}
	if eff := w.Step(41*time.Second, Received{"owner", Ask{[]job.Attempt{attempt("a", 1), attempt("b", 1)}}}); eff.Send[0].Message.(Holding).Attempts[1].Phase != Gone {
		t.Errorf("%+v", eff.Send)
	}
}

func TestWorkerRefusals(t *testing.T) {
	bare := NewWorker(Config{Self: "w", Boot: 1, Ledger: "lllll", Room: job.Room{CPU: 4000, Memory: 4 << 30}})
	if _, m := award(bare, 1, "a", 1); m.(Decline).Reason != "this node has no engine for it" {
		t.Errorf("%+v", m)
	}
	w := newTestWorker()
	w.Step(1, Leave{})
	if _, m := award(w, 2, "a", 1); m.(Decline).Reason != "the node is stopping" || m.(Decline).Bid.Free.CPU != 0 {
		t.Errorf("%+v", m)
	}
}

// Owners are free to call their attempts what they like: nobody gets in another's
// way with it.
func TestWorkerKeepsOwnersApart(t *testing.T) {
	w := newTestWorker()
	a := attempt("a", 1)
	squat := w.Step(1, Received{"thief", Award{a, tiny("", "")}})
	eff, m := award(w, 2, "a", 1)
	if _, ok := m.(Accept); !ok || len(squat.Start) != 1 || len(eff.Start) != 1 || eff.Start[0].Owner != "owner" {
		t.Fatalf("%+v, starts %v and %v", m, squat.Start, eff.Start)
	}
	w.Step(3, Received{"thief", Award{attempt("a", 2), tiny("", "")}}) // ends its own attempt 1
	eff = w.Step(4, Received{"thief", Withdraw{a}})
	w.Step(5, Received{"thief", ReportAck{a}})
	if len(eff.Kill) != 0 || !w.Held(charge("a", 1)) {
		t.Fatalf("killed %v", eff.Kill)
	}
	eff = w.Step(6, Exited{Charge: Charge{"thief", a}, Failure: "killed"})
	if len(eff.Send) != 0 || !w.Held(charge("a", 1)) {
		t.Fatalf("the end of another's attempt is taken for its own: %v", eff.Send)
	}
	if h := w.Step(7, Received{"stranger", Ask{[]job.Attempt{a}}}).Send[0].Message.(Holding); h.Attempts[0].Phase != Gone {
		t.Errorf("a stranger is told %+v", h)
	}
	eff = w.Step(8, Exited{Charge: charge("a", 1), Result: good()})
	if len(eff.Send) != 1 || eff.Send[0].To != "owner" {
		t.Errorf("sent %v", eff.Send)
	}
}

// What is awarded is looked at as closely as what is submitted.
func TestWorkerLooksAtSpecs(t *testing.T) {
	w := newTestWorker()
	none, local, twice := tiny("", ""), tiny("", ""), tiny("", "")
	none.Task.WASM = nil
	local.Task.WASM = &job.WASM{Module: "../../etc/shadow.wasm"}
	twice.Outputs = append(twice.Outputs, twice.Outputs[0])
	file := tiny("", "")
	file.Inputs = []job.Input{{From: "a/file", At: "/in"}}
	for name, spec := range map[string]job.Spec{"no program": none, "outside": local, "outputs over one another": twice, "a path here": file, "nothing": {}} {
		eff := w.Step(1, Received{"owner", Award{attempt("a", 1), spec}})
		d, ok := eff.Send[0].Message.(Decline)
		if !ok || len(eff.Start) != 0 || readable(d) != nil || !strings.Contains(d.Reason, "its spec is not one that runs: ") {
			t.Errorf("%s: %+v", name, eff)
		}
	}
	if w.free != w.cfg.Room {
		t.Errorf("free: %v", w.free)
	}
}

// However little a job asks for, what it costs is reserved.
func TestWorkerReservesOverhead(t *testing.T) {
	for name, c := range map[string]struct {
		ask  job.Resources
		most int
	}{
		"default":     {job.Resources{}, 4},
		"little cpu":  {job.Resources{CPU: 1, Memory: 1 << 20}, 40},
		"no memory":   {job.Resources{CPU: 1}, (4 << 30) / (256<<20 + 32<<20)},
		"just memory": {job.Resources{CPU: 1, Memory: 1 << 30}, 3},
	} {
		w, started := newTestWorker(), 0
		for n := range 1000 {
			s := tiny("", "")
			s.Resources = c.ask
			started += len(w.Step(1, Received{"owner", Award{attempt(job.ID(fmt.Sprint("j", n)), 1), s}}).Start)
		}
		if started != c.most {
			t.Errorf("%s: %d attempts at once, want %d", name, started, c.most)
		}
	}
}

// A report that the owner could not read would be repeated for a week.
func TestWorkerReportsReadably(t *testing.T) {
	many := job.Result{Outputs: make([]job.Output, 10_000)}
	for name, in := range map[string]Exited{
		"long text":    {Result: job.Result{Error: "x" + strings.Repeat("é", 700)}},
		"raw bytes":    {Failure: "fetching \xff\xfe"},
		"many outputs": {Result: many},
		"odd name":     {Result: job.Result{Outputs: []job.Output{{Name: "a\xff", CID: cidOf("c")}}}},
		"no CID":       {Result: job.Result{Outputs: []job.Output{{Name: "a"}}}},
		"huge CID":     {Result: job.Result{Outputs: []job.Output{{Name: "a", CID: strings.Repeat("b", MaxFrame)}}}},
	} {
		w := newTestWorker()
		award(w, 1, "a", 1)
		in.Charge = charge("a", 1)
		r, ok := w.Step(2, in).Send[0].Message.(Report)
		if !ok || readable(r) != nil || r.Failure == "" && r.Result.Error == "" {
			t.Errorf("%s: %+v, %v", name, r, readable(r))
		}
	}
}

func TestStandingBids(t *testing.T) {
	w := newTestWorker()
	var bids []time.Duration
	step := func(now time.Duration, in WorkerInput) time.Duration {
		eff := w.Step(now, in)
		if eff.Publish != nil {
			bids = append(bids, now)
		}
		return eff.Wake
	}
	wake := step(1, Tick{})
	for now := wake; now < 35*time.Second; now = wake {
		wake = step(now, Tick{})
	}
	if len(bids) != 4 {
		t.Errorf("an idle node bids at %v", bids)
	}
	// Busy: changes come every millisecond, bids at most every 200 ms.
	bids = nil
	base := 40 * time.Second
	for i := range 1000 {
		now := base + time.Duration(i)*time.Millisecond
		if i%2 == 0 {
			step(now, Received{"owner", Award{attempt("a", i+1), tiny("", "")}})
		} else {
			step(now, Exited{Charge: charge("a", i)})
		}
	}
	if len(bids) > 6 {
		t.Errorf("%d bids in a second", len(bids))
	}
	if minGap(3) != 200*time.Millisecond || minGap(1000) != 20*time.Second {
		t.Errorf("gaps %v, %v", minGap(3), minGap(1000))
	}
}

func TestFence(t *testing.T) {
	f := newFence(2)
	f.raise("o", attempt("a", 3))
	for n, want := range map[int]bool{1: false, 3: false, 4: true} {
		if f.admits("o", attempt("a", n)) != want {
			t.Errorf("attempt %d is admitted: %v", n, !want)
		}
	}
	if !f.admits("p", attempt("a", 1)) {
		t.Error("one owner keeps out another's")
	}
	f.raise("o", attempt("a", 2)) // lower: nothing changes
	f.raise("o", attempt("b", 1))
	f.raise("o", attempt("c", 1)) // pushes out a
	if len(f.highest) != 2 || !f.admits("o", attempt("a", 1)) || f.admits("o", attempt("b", 1)) {
		t.Errorf("%v", f.highest)
	}
}
