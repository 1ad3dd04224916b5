package job

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// anyEvent draws events that are mostly near what is legal, so that sequences
// get far, and sometimes absurd.
func anyEvent(t *rapid.T, j *Job, n int) Event {
	e := Event{
		Attempt: Attempt{Job: rapid.SampledFrom([]ID{"a", "a", "a", "a", "b"}).Draw(t, "job")},
		Kind:    Kind(rapid.IntRange(0, int(CancelledBy)+1).Draw(t, "kind")),
		At:      epoch.Add(time.Duration(n) * time.Second),
		Peer:    rapid.SampledFrom([]PeerID{"p", "q", ""}).Draw(t, "peer"),
		Reason:  "because",
		Blame:   rapid.Bool().Draw(t, "blame"),
	}
	e.Task = rapid.SampledFrom([]int{0, 0, 0, 0, 1, -1}).Draw(t, "task")
	current := 0
	if len(j.Tasks) > 0 {
		current = j.Tasks[0].Attempt
		if rapid.Bool().Draw(t, "at the executor") {
			e.Peer = j.Tasks[0].Executor
		}
	}
	e.Attempt.Attempt = current + rapid.SampledFrom([]int{0, 0, 1, 1, -1, 2}).Draw(t, "attempt")
	if e.Kind == Submitted || rapid.Bool().Draw(t, "spec") {
		e.Spec = &Spec{Name: "n"}
	}
	if e.Kind == Finished {
		e.Result = rapid.SampledFrom([]*Result{nil, {}, {Exit: 3}, {Error: "killed"}}).Draw(t, "result")
	}
	return e
}

func TestAnySequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var j Job
		var accepted []Event
		for n := range rapid.IntRange(1, 200).Draw(t, "events") {
			e := anyEvent(t, &j, n)
			before := j.Clone()
			if err := j.Apply(e); err != nil {
				if !errors.Is(err, ErrRefused) {
					t.Fatalf("an error that is no refusal: %v", err)
				}
				if !reflect.DeepEqual(before, j.Clone()) {
					t.Fatalf("refused %v changed the job:\n%+v\n%+v", e, before, j)
				}
				continue
			}
			accepted = append(accepted, e)
			check(t, before, j, e)
		}
		var again Job
		for _, e := range accepted {
			if err := again.Apply(e); err != nil {
				t.Fatalf("replay refused what was accepted: %v", err)
			}
		}
		if !reflect.DeepEqual(again, j) {
			t.Fatalf("replay gives another job:\n%+v\n%+v", again, j)
		}
	})
}

// check asserts what every accepted event must keep.
func check(t *rapid.T, before, after Job, e Event) {
	if before.ID != "" && before.Terminal() {
		t.Fatalf("%v was accepted after the job was %s", e, before.State())
	}
	if len(after.History) > historyFirst+historyLatest {
		t.Fatalf("history grew to %d", len(after.History))
	}
	switch e.Kind {
	case Finished, Started, Lost:
		if p := before.Tasks[0]; e.Attempt.Attempt != p.Attempt || e.Peer != p.Executor {
			t.Fatalf("%v was accepted, but attempt %d at %q was current", e, p.Attempt, p.Executor)
		}
	case AwardedTo:
		if e.Attempt.Attempt != before.Tasks[0].Attempt+1 {
			t.Fatalf("attempts went from %d to %d", before.Tasks[0].Attempt, e.Attempt.Attempt)
		}
	}
}

func at(kind Kind, attempt int, p PeerID) Event {
	e := Event{Attempt: Attempt{Job: "a", Attempt: attempt}, Kind: kind, At: epoch, Peer: p, Reason: "why"}
	switch kind {
	case Submitted:
		e.Spec = &Spec{Name: "n"}
	case Finished:
		e.Result = &Result{}
	}
	return e
}

func TestLives(t *testing.T) {
	failed, blamed := at(Finished, 1, "p"), at(Lost, 1, "p")
	failed.Result, blamed.Blame = &Result{Exit: 3}, true
	submitted, awarded := at(Submitted, 0, ""), at(AwardedTo, 1, "p")
	for _, c := range []struct {
		name   string
		events []Event
		state  State
		reason string
	}{
		{"waits", []Event{submitted}, Waiting, ""},
		{"is done without a word of its start", []Event{submitted, awarded, at(Finished, 1, "p")}, Done, ""},
		{"fails by its own code", []Event{submitted, awarded, at(Started, 1, "p"), failed}, Failed, "exit code 3"},
		{"is lost and waits", []Event{submitted, awarded, blamed}, Waiting, "why"},
		{"runs elsewhere", []Event{submitted, awarded, blamed, at(AwardedTo, 2, "q"), at(Started, 2, "q")}, Running, ""},
		{"is given up", []Event{submitted, awarded, blamed, at(GaveUp, 1, "")}, Failed, "why"},
		{"is cancelled", []Event{submitted, awarded, at(CancelledBy, 0, "")}, Cancelled, "why"},
	} {
		var j Job
		for _, e := range c.events {
			if err := j.Apply(e); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		if j.State() != c.state || j.Reason != c.reason || j.Terminal() != !j.Ended().IsZero() {
			t.Errorf("%s: %s %q, ended %v; want %s %q", c.name, j.State(), j.Reason, j.Ended(), c.state, c.reason)
		}
	}
}

// What counts against a task: each blamed attempt, each peer once, and apart from
// that what peers themselves say they cannot do.
func TestLostIsCounted(t *testing.T) {
	var j Job
	apply := func(e Event) {
		if err := j.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	submitted := at(Submitted, 0, "")
	submitted.Submission = []byte("digest")
	apply(submitted)
	for n, lost := range []struct {
		peer          PeerID
		blame, failed bool
	}{{"p", false, false}, {"p", true, false}, {"q", true, true}, {"p", true, true}, {"r", false, true}} {
		apply(at(AwardedTo, n+1, lost.peer))
		e := at(Lost, n+1, lost.peer)
		e.Blame, e.Failed = lost.blame, lost.failed
		apply(e)
	}
	if p := j.Tasks[0]; p.Lost != 3 || p.Failures != 2 || !reflect.DeepEqual(p.Tried, []PeerID{"p", "q"}) {
		t.Errorf("%+v", p)
	}
	if !j.Same([]byte("digest")) || j.Same([]byte("another")) || j.Same(nil) || !new(Job).Same([]byte("any")) {
		t.Error("submissions are not told apart")
	}
	if j.History[0].Submission != nil {
		t.Error("the history has the digest as well")
	}
}

func TestOldAttemptIsRefused(t *testing.T) {
	var j Job
	for _, e := range []Event{at(Submitted, 0, ""), at(AwardedTo, 1, "p"), at(Lost, 1, "p"), at(AwardedTo, 2, "q")} {
		if err := j.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range []Event{at(Finished, 1, "p"), at(Finished, 1, "q"), at(Finished, 2, "p"), at(Started, 1, "p")} {
		if err := j.Apply(e); !errors.Is(err, ErrRefused) {
			t.Errorf("%s of attempt %d by %s: %v", e.Kind, e.Attempt.Attempt, e.Peer, err)
		}
	}
}

func TestWholeJobState(t *testing.T) {
	for _, c := range []struct {
		tasks []State
		want  State
	}{
		{[]State{Waiting, Running, Done}, Running},
		{[]State{Done, Done}, Done},
		{[]State{Done, Failed}, Failed},
		{[]State{Failed, Waiting}, Waiting},
		{[]State{Done, Cancelled}, Cancelled},
	} {
		var j Job
		for _, s := range c.tasks {
			j.Tasks = append(j.Tasks, Progress{State: s})
		}
		if got := j.State(); got != c.want {
			t.Errorf("%v: %s, want %s", c.tasks, got, c.want)
		}
	}
}

func TestNamesRoundTrip(t *testing.T) {
	for s := Waiting; s <= Cancelled; s++ {
		text, _ := s.MarshalText()
		var back State
		if err := back.UnmarshalText(text); err != nil || back != s {
			t.Errorf("%s came back as %s: %v", s, back, err)
		}
	}
	for k := Submitted; k <= CancelledBy; k++ {
		text, _ := k.MarshalText()
		var back Kind
		if err := back.UnmarshalText(text); err != nil || back != k {
			t.Errorf("%s came back as %s: %v", k, back, err)
		}
	}
	if err := new(State).UnmarshalText([]byte("nonsense")); err == nil {
		t.Error("an unknown state was accepted")
	}
}
