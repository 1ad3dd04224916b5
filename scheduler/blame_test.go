package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// running gives a Core a job that has been accepted by the peer, whose boot is 1.
func running(t *testing.T, at job.PeerID) (*bench, job.ID, Award) {
	b := table(t)
	b.join(at, 4000, "wasm=wazero")
	id := b.submit(1, "")
	b.commit()
	_, a := last[Award](b)
	b.step(Received{at, Accept{a.Attempt, b.bidOf(3000)}})
	return b, id, a
}

// Who is blamed for what, at another peer and at this node itself.
func TestBlame(t *testing.T) {
	rebooted := Bid{Boot: 2, Seq: 1}
	for _, c := range []struct {
		name         string
		do           func(b *bench, at job.PeerID, a job.Attempt)
		there, here  int // blamed attempts
		failed       int
		historyHolds string
	}{
		{"declines", func(b *bench, at job.PeerID, a job.Attempt) {
			b.step(Received{at, Decline{a, b.bidOf(0), "no room"}})
		}, 0, 0, 0, "declined: no room"},
		{"stops", func(b *bench, at job.PeerID, a job.Attempt) {
			b.step(Received{at, Report{Attempt: a, Bid: b.bidOf(0), Failure: "killed", Leaving: true}})
		}, 0, 0, 0, "killed"},
		{"says goodbye", func(b *bench, at job.PeerID, a job.Attempt) {
			b.step(PeerGone{ID: at, Boot: 1, Why: "it said goodbye", Left: true})
		}, 0, 0, 0, "goodbye"},
		{"is started anew", func(b *bench, at job.PeerID, a job.Attempt) {
			b.step(BidSeen{at, rebooted})
		}, 0, 0, 0, "started anew"},
		{"has another boot and nothing of it", func(b *bench, at job.PeerID, a job.Attempt) {
			b.step(Received{at, Holding{2, []Held{{a, Gone}}}})
		}, 0, 0, 0, "does not have it any more, since it was started anew"},
		{"is gone", func(b *bench, at job.PeerID, a job.Attempt) {
			b.step(PeerGone{ID: at, Boot: 1, Why: "connection refused"})
		}, 1, 0, 0, "connection refused"},
		{"is silent", func(b *bench, at job.PeerID, a job.Attempt) {
			b.pass(15 * time.Second)
		}, 1, 0, 0, "silent"},
		{"cannot", func(b *bench, at job.PeerID, a job.Attempt) {
			b.step(Received{at, Report{Attempt: a, Bid: b.bidOf(0), Failure: "no such block"}})
		}, 1, 1, 1, "no such block"},
		{"has lost it", func(b *bench, at job.PeerID, a job.Attempt) {
			b.step(Received{at, Holding{1, []Held{{a, Gone}}}})
		}, 1, 1, 1, "does not have it any more"},
		{"reports another job's result", func(b *bench, at job.PeerID, a job.Attempt) {
			b.step(Received{at, Report{Attempt: a, Bid: b.bidOf(0), Result: job.Result{Exit: 1, Outputs: []job.Output{{Name: "other", CID: cidOf("x")}}}}})
		}, 1, 1, 1, "which the job does not name"},
		{"reports too little", func(b *bench, at job.PeerID, a job.Attempt) {
			b.step(Received{at, Report{Attempt: a, Bid: b.bidOf(0)}})
		}, 1, 1, 1, "no result of this job"},
	} {
		for at, want := range map[job.PeerID]int{"p": c.there, "self": c.here} {
			b, id, a := running(t, at)
			c.do(b, at, a.Attempt)
			b.commit()
			j, _ := b.core.Job(id)
			if p := j.Tasks[0]; p.Lost != want || p.Failures != c.failed || len(p.Tried) != want {
				t.Errorf("%s %s: %+v, want %d", at, c.name, p, want)
			}
			if !slices.ContainsFunc(j.History, func(ev job.Event) bool {
				return ev.Kind == job.Lost && strings.Contains(ev.Reason, c.historyHolds)
			}) {
				t.Errorf("%s %s: %+v does not say %q", at, c.name, j.History, c.historyHolds)
			}
		}
	}
}

// Power cuts of a node alone, each of which ends what runs there.
func TestPowerCutsAlone(t *testing.T) {
	var disk []job.Event
	id := job.NewID("lllll", "1")
	for boot := uint64(1); boot <= 20; boot++ {
		b := &bench{T: t, core: NewCore(Config{Self: "p", Boot: boot, Ledger: "lllll"})}
		for _, ev := range disk {
			if err := b.core.Replay(ev); err != nil {
				t.Fatal(err)
			}
		}
		b.step(Tick{At: time.Unix(1e9, 0)})
		b.step(PeerSeen{ID: "p", Labels: map[string]string{"wasm": "w"}, Boot: boot})
		if boot == 1 {
			b.step(Submit{ID: id, Spec: tiny("", "")})
		} else {
			_, asked := last[Ask](b)
			b.step(Received{"p", Holding{boot, []Held{{asked.Attempts[0], Gone}}}})
		}
		for range 10 {
			room := b.bidOf(4000)
			room.Boot = boot
			b.step(BidSeen{"p", room})
			if b.commit(); count[Award](b) > 0 {
				break
			}
			b.pass(100 * time.Millisecond)
		}
		_, a := last[Award](b)
		b.step(Received{"p", Started{a.Attempt}})
		b.pass(time.Second)
		disk = append(disk, b.taken...)
		if j, _ := b.core.Job(id); j.State() != job.Running || j.Tasks[0].Attempt != int(boot) || j.Tasks[0].Lost != 0 {
			t.Fatalf("boot %d: %s, %+v", boot, j.State(), j.Tasks[0])
		}
	}
}

// A peer is forgotten by the boot that is said to be gone, not by a later one that
// has spoken already.
func TestLateWordOfAnOldProcess(t *testing.T) {
	b, id, a := running(t, "p")
	newer := func() Bid {
		bid := b.bidOf(4000)
		bid.Boot = 2
		return bid
	}
	b.step(BidSeen{"p", newer()})
	b.commit()
	b.pass(time.Second)
	_, again := last[Award](b)
	if again.Attempt.Attempt != a.Attempt.Attempt+1 {
		t.Fatalf("awarded: %v", again.Attempt)
	}
	b.step(PeerGone{ID: "p", Boot: 1, Why: "its process was replaced"}) // before it has accepted
	b.step(PeerSeen{ID: "p", Labels: map[string]string{"wasm": "wazero"}, Boot: 2})
	b.step(Received{"p", Accept{again.Attempt, newer()}})
	b.step(PeerGone{ID: "p", Boot: 1, Why: "its process was replaced"}) // and after it
	b.step(PeerSeen{ID: "p", Labels: map[string]string{"wasm": "wazero"}, Boot: 2})
	b.commit()
	if j, _ := b.core.Job(id); j.State() != job.Awarded || j.Tasks[0].Attempt != 2 || j.Tasks[0].Lost != 0 {
		t.Errorf("%s, %+v", j.State(), j.Tasks[0])
	}
	b.step(PeerGone{ID: "p", Boot: 2, Why: "connection refused"})
	b.commit()
	if j, _ := b.core.Job(id); j.State() != job.Waiting || j.Tasks[0].Lost != 1 {
		t.Errorf("%s, %+v", j.State(), j.Tasks[0])
	}
	if len(b.core.peers) != 0 {
		t.Errorf("%d peers are kept in mind", len(b.core.peers))
	}
}

// What was there before this Core, of which it knows no boot, is gone with any.
func TestGoneBeforeItsBootIsKnown(t *testing.T) {
	b, id, _ := running(t, "p")
	b.pass(0)
	for _, l := range b.core.peers["p"].live {
		l.boot = 0
	}
	b.step(PeerGone{ID: "p", Boot: 1, Why: "connection refused"})
	b.commit()
	if j, _ := b.core.Job(id); j.State() != job.Waiting {
		t.Errorf("%s, %+v", j.State(), j.Tasks[0])
	}
}

// An executor that says for ever that an attempt has ended, and whose report never
// comes or cannot be read, does not hold the job up for ever.
func TestEndedWithoutAReport(t *testing.T) {
	b, id, a := running(t, "p")
	for range 100 {
		if j, _ := b.core.Job(id); j.State() != job.Awarded && j.State() != job.Running {
			break
		}
		before := count[Ask](b)
		b.pass(time.Second)
		if count[Ask](b) > before {
			b.step(Received{"p", Holding{1, []Held{{a.Attempt, Ended}}}})
			b.commit()
		}
	}
	j, _ := b.core.Job(id)
	if p := j.Tasks[0]; j.State() != job.Waiting || p.Failures != 1 || !strings.Contains(j.History[len(j.History)-1].Reason, "no report that can be read") {
		t.Errorf("%s, %+v", j.State(), p)
	}
	if took := b.now; took < endedLeases*15*time.Second || took > 2*endedLeases*15*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Two peers that do not agree cannot fill the log: whoever does not take or keep
// what it is given is left alone, for longer each time.
func TestPingPongIsBounded(t *testing.T) {
	for name, refuse := range map[string]func(b *bench, a job.Attempt){
		"declines": func(b *bench, a job.Attempt) {
			b.step(Received{"p", Decline{a, b.bidOf(0), "no room"}})
		},
		"accepts and leaves": func(b *bench, a job.Attempt) {
			b.step(Received{"p", Accept{a, b.bidOf(3000)}})
			b.step(Received{"p", Started{a}})
			b.step(Received{"p", Report{Attempt: a, Bid: b.bidOf(0), Failure: "stopping", Leaving: true}})
		},
	} {
		b := table(t)
		b.join("p", 4000, "wasm=wazero")
		id := b.submit(1, "")
		b.commit()
		seen, attempts := 0, 0
		for range 6_000 {
			if count[Award](b) > seen {
				_, a := last[Award](b)
				seen, attempts = count[Award](b), attempts+1
				refuse(b, a.Attempt)
				b.commit()
			}
			b.step(BidSeen{"p", b.bidOf(4000)}) // there is room again, it says
			b.pass(100 * time.Millisecond)
		}
		if attempts < 5 || attempts > 25 {
			t.Errorf("%s: %d attempts in ten minutes", name, attempts)
		}
		j, _ := b.core.Job(id)
		if j.Tasks[0].Lost != 0 {
			t.Errorf("%s: %+v", name, j.Tasks[0])
		}
	}
}

// A refusal is over when the peer has shown that it can do it.
func TestRefusalEndsWithAResult(t *testing.T) {
	b := table(t)
	b.join("p", 4000, "wasm=wazero")
	id := b.submit(1, "")
	b.commit()
	class := b.core.jobs[id].class
	for range 5 {
		b.untilAwarded(id)
		_, a := last[Award](b)
		b.step(Received{"p", Decline{a.Attempt, b.bidOf(4000), "no"}})
		b.commit()
	}
	if r := class.avoid["p"]; r.times != 5 || r.until < b.now+time.Second {
		t.Errorf("after five declines, now %v: %+v", b.now, r)
	}
	b.untilAwarded(id)
	_, a := last[Award](b)
	b.step(Received{"p", Report{Attempt: a.Attempt, Bid: b.bidOf(4000), Result: good()}})
	if len(class.avoid) != 0 {
		t.Errorf("after a result: %+v", class.avoid)
	}
}

// No text of a peer or a person gets into an event as anything but text.
func TestEventsAreText(t *testing.T) {
	long := "x" + strings.Repeat("é", 2000)
	for _, odd := range []string{long, "\xff", "é\xc3"} {
		b, id, a := running(t, "p")
		b.step(Received{"p", Report{Attempt: a.Attempt, Bid: b.bidOf(0), Failure: odd}})
		b.step(BidSeen{"p", b.bidOf(4000)})
		events := b.commit()
		b.pass(2 * time.Second)
		_, a = last[Award](b)
		b.step(Received{"p", Decline{a.Attempt, b.bidOf(4000), odd}})
		events = append(events, b.commit()...)
		b.pass(2 * time.Second)
		_, a = last[Award](b)
		b.step(PeerGone{ID: "p", Why: odd})
		b.step(Cancel{ID: id, Reason: odd})
		events = append(events, b.commit()...)
		id = b.submit(2, "")
		b.join("q", 4000, "wasm=wazero")
		events = append(events, b.commit()...)
		_, a = last[Award](b)
		b.step(Received{"q", Report{Attempt: a.Attempt, Bid: b.bidOf(0), Result: job.Result{Error: odd}}})
		events = append(events, b.commit()...)
		said := 0
		for _, ev := range events {
			text := ev.Reason
			if ev.Result != nil {
				text += ev.Result.Error
			}
			if !utf8.ValidString(text) || len(text) > keptText {
				t.Errorf("%s says %q", ev.Kind, text)
			}
			if text != "" {
				said++
			}
		}
		if j, _ := b.core.Job(id); said < 5 || j.State() != job.Failed {
			t.Errorf("%d texts in %s", said, kinds(events))
		}
	}
}

// Another submission whose job would have the same ID is told so.
func TestConflict(t *testing.T) {
	b := table(t)
	submit := func(call uint64, submission string) {
		b.step(Submit{Call: call, ID: "lllllaaaaaaaaaaaa", Spec: tiny(submission, ""), Submission: []byte(submission)})
	}
	submit(1, "one")
	submit(2, "two") // before the first is durable
	b.commit()
	submit(3, "two")
	submit(4, "one")
	got := map[uint64]error{}
	for _, a := range b.answers {
		got[a.Call] = a.Err
	}
	if want := (map[uint64]error{1: nil, 2: ErrConflict, 3: ErrConflict, 4: nil}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("answers: %v", got)
	}
	if id := job.NewID("lllll", "n"); len(id) != 17 {
		t.Errorf("ID %q", id)
	}
}
