package scheduler

import (
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

func newTestWorker() *Worker {
	return NewWorker(Config{Self: "w", Boot: 1, Ledger: "lllll", Labels: map[string]string{"wasm": "wazero"}, Room: job.Room{CPU: 4000, Memory: 4 << 30}})
}

func attempt(id job.ID, n int) job.Attempt { return job.Attempt{Job: id, Attempt: n} }

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
	eff = w.Step(3, Ran{attempt("a", 1)})
	if m, ok := eff.Send[0].Message.(Started); !ok || m.Attempt != attempt("a", 1) {
		t.Fatalf("%+v", eff.Send)
	}
	eff = w.Step(4, Exited{Attempt: attempt("a", 1), Result: job.Result{Exit: 3}})
	if m, ok := eff.Send[0].Message.(Report); !ok || m.Result.Exit != 3 || m.Bid.Free.CPU != 4000 {
		t.Fatalf("%+v", eff.Send)
	}
	// A stranger cannot acknowledge it.
	w.Step(5, Received{"stranger", ReportAck{attempt("a", 1)}})
	if !w.Held(attempt("a", 1)) {
		t.Fatal("a stranger's word counted")
	}
	w.Step(6, Received{"owner", ReportAck{attempt("a", 1)}})
	if w.Held(attempt("a", 1)) {
		t.Fatal("still held")
	}
	if _, m = award(w, 7, "a", 1); m.(Decline).Reason == "" {
		t.Fatalf("what has been here runs again: %+v", m)
	}
}

func TestWorkerRepeatsReports(t *testing.T) {
	w := newTestWorker()
	award(w, 1, "a", 1)
	eff := w.Step(2, Exited{Attempt: attempt("a", 1)})
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
	eff = w.Step(4, Exited{Attempt: attempt("a", 1), Failure: "killed"})
	if len(eff.Send) != 0 || w.free.CPU != 1000 || w.Held(attempt("a", 1)) {
		t.Fatalf("sent %v, free %v", eff.Send, w.free)
	}
	if _, m = award(w, 5, "e", 1); m.(Accept).Bid.Free.CPU != 0 {
		t.Fatalf("%+v", m)
	}
	// An exit that is told twice frees nothing twice.
	w.Step(6, Exited{Attempt: attempt("e", 1)})
	w.Step(7, Exited{Attempt: attempt("e", 1)})
	if w.free.CPU != 1000 {
		t.Errorf("free %v", w.free)
	}
}

func TestWorkerHigherAttemptEndsLower(t *testing.T) {
	w := newTestWorker()
	award(w, 1, "a", 1)
	eff, m := award(w, 2, "a", 2)
	if _, ok := m.(Accept); !ok || len(eff.Kill) != 1 || eff.Kill[0] != attempt("a", 1) {
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
	w.Step(2, Ran{attempt("a", 1)})
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
	w = newTestWorker()
	award(w, 1, "a", 1)
	if eff := w.Step(2, Received{"thief", Award{attempt("a", 1), tiny("", "")}}); eff.Send[0].Message.(Decline).Reason == "" {
		t.Errorf("%+v", eff.Send)
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
			step(now, Exited{Attempt: attempt("a", i)})
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
