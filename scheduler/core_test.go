package scheduler

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// bench is a Core on a table: time goes by hand, and what it appends lies in
// appended until it is committed.
type bench struct {
	*testing.T
	core     *Core
	now      time.Duration
	appended []job.Event
	taken    []job.Event // all that was committed
	sent     []Outgoing
	answers  []Answer
	wake     time.Duration
	seq      uint64
}

func table(t *testing.T) *bench {
	b := &bench{T: t, core: NewCore(Config{Self: "self", Boot: 1, Ledger: "lllll", Seed: 1})}
	b.step(Tick{At: time.Unix(1e9, 0)})
	return b
}

func (b *bench) step(in Input) {
	b.Helper()
	eff := b.core.Step(b.now, in)
	if eff.Fault != nil {
		b.Fatal(eff.Fault)
	}
	b.appended = append(b.appended, eff.Append...)
	b.sent = append(b.sent, eff.Send...)
	b.answers = append(b.answers, eff.Answers...)
	b.wake = eff.Wake
}

// commit makes all that was appended durable, and gives it back.
func (b *bench) commit() []job.Event {
	b.Helper()
	var all []job.Event
	for len(b.appended) > 0 {
		group := b.appended
		b.appended = nil
		all = append(all, group...)
		b.taken = append(b.taken, group...)
		b.step(Committed{group})
	}
	return all
}

// pass lets time go by, ticking when asked to.
func (b *bench) pass(d time.Duration) {
	b.Helper()
	end := b.now + d
	for b.wake != 0 && b.wake <= end {
		b.now = max(b.now, b.wake)
		b.step(Tick{At: time.Unix(1e9, 0).Add(b.now)})
		b.commit()
	}
	b.now = end
	b.step(Tick{At: time.Unix(1e9, 0).Add(b.now)})
	b.commit()
}

func (b *bench) bidOf(cpu job.CPU) Bid {
	b.seq++
	return Bid{Boot: 1, Seq: b.seq, Free: job.Room{CPU: cpu, Memory: 8 << 30}, Total: job.Room{CPU: 8000, Memory: 8 << 30}}
}

func (b *bench) join(id job.PeerID, cpu job.CPU, labels ...string) {
	b.Helper()
	set := map[string]string{}
	for _, l := range labels {
		k, v, _ := strings.Cut(l, "=")
		set[k] = v
	}
	b.step(PeerSeen{ID: id, Labels: set, Boot: 1})
	b.step(BidSeen{From: id, Bid: b.bidOf(cpu)})
}

// untilAwarded lets time go by, with a fresh bid of p now and then, while a job
// waits.
func (b *bench) untilAwarded(id job.ID) {
	b.Helper()
	for range 1000 {
		if j, _ := b.core.Job(id); j.State() != job.Waiting {
			return
		}
		b.pass(time.Second)
		b.step(BidSeen{"p", b.bidOf(4000)})
		b.commit()
	}
	b.Fatalf("job %s waits for ever: %s", id, b.core.Explain(id))
}

func (b *bench) submit(n int, where string) job.ID {
	b.Helper()
	id := job.NewID("lllll", fmt.Sprint(n))
	b.step(Submit{Call: uint64(n), ID: id, Spec: tiny("", where)})
	return id
}

// last is the latest message of a kind, and to whom it went.
func last[M Message](b *bench) (job.PeerID, M) {
	b.Helper()
	for i := len(b.sent) - 1; i >= 0; i-- {
		if m, ok := b.sent[i].Message.(M); ok {
			return b.sent[i].To, m
		}
	}
	var none M
	b.Fatalf("no %T was sent", none)
	return "", none
}

func count[M Message](b *bench) (n int) {
	for _, o := range b.sent {
		if _, ok := o.Message.(M); ok {
			n++
		}
	}
	return n
}

func kinds(events []job.Event) string {
	var all []string
	for _, ev := range events {
		all = append(all, ev.Kind.String())
	}
	return strings.Join(all, ", ")
}

// good is a result of a tiny job.
func good() job.Result {
	return job.Result{Outputs: []job.Output{{Name: "by", CID: cidOf("p"), Size: 1}}}
}

func TestNothingIsSaidBeforeTheCommit(t *testing.T) {
	b := table(t)
	b.join("p", 4000, "wasm=wazero")
	id := b.submit(1, "")
	if len(b.sent) != 0 || len(b.answers) != 0 || kinds(b.appended) != "submitted, awarded" {
		t.Fatalf("before the commit: sent %v, answers %v, appended %s", b.sent, b.answers, kinds(b.appended))
	}
	b.commit()
	to, award := last[Award](b)
	if to != "p" || award.Attempt != (job.Attempt{Job: id, Attempt: 1}) || len(b.answers) != 1 {
		t.Fatalf("after it: %v to %s, answers %v", award, to, b.answers)
	}
	// A short task costs one more group: Started waits for Finished.
	b.step(Received{"p", Accept{award.Attempt, b.bidOf(3000)}})
	b.step(Received{"p", Started{award.Attempt}})
	if len(b.appended) != 0 {
		t.Fatalf("Started was not held back: %s", kinds(b.appended))
	}
	b.step(Received{"p", Report{Attempt: award.Attempt, Bid: b.bidOf(4000), Result: good()}})
	if kinds(b.appended) != "started, finished" || count[ReportAck](b) != 0 {
		t.Fatalf("appended %s, acknowledged %d", kinds(b.appended), count[ReportAck](b))
	}
	b.commit()
	if j, _ := b.core.Job(id); j.State() != job.Done || count[ReportAck](b) != 1 {
		t.Fatalf("%s, acknowledged %d", j.State(), count[ReportAck](b))
	}
	// The report once more: the executor lost the acknowledgement.
	b.step(Received{"p", Report{Attempt: award.Attempt, Bid: b.bidOf(4000), Result: good()}})
	if len(b.appended) != 0 || count[ReportAck](b) != 2 {
		t.Fatalf("the repeated report: appended %s, acknowledged %d", kinds(b.appended), count[ReportAck](b))
	}
}

func TestLongTaskIsSeenRunning(t *testing.T) {
	b := table(t)
	b.join("p", 4000, "wasm=wazero")
	id := b.submit(1, "")
	b.commit()
	_, award := last[Award](b)
	b.step(Received{"p", Started{award.Attempt}})
	b.pass(startGrace)
	if j, _ := b.core.Job(id); j.State() != job.Running {
		t.Errorf("it is %s", j.State())
	}
}

func TestExplain(t *testing.T) {
	b := table(t)
	id := b.submit(1, "zone=eu")
	b.commit()
	if why := b.core.Explain(id); why != "no peer is known yet" {
		t.Error(why)
	}
	b.join("full", 500, "wasm=wazero", "zone=eu")
	b.join("elsewhere", 4000, "wasm=wazero", "zone=us")
	b.join("bare", 4000, "zone=eu")
	b.step(PeerSeen{ID: "mute", Labels: map[string]string{"wasm": "wasmer", "zone": "eu"}, Boot: 1})
	j, _ := b.core.Job(id)
	for _, part := range []string{"of 4 peers", "1 cannot run wasm", "1 not matching where: zone=eu", "1 without a current bid", "1 with too little free cpu"} {
		if !strings.Contains(j.Reason, part) {
			t.Errorf("%q does not say %q", j.Reason, part)
		}
	}
	// Whoever comes to fit gets it, whatever it was that changed.
	b.step(BidSeen{"full", b.bidOf(1000)})
	b.commit()
	if to, _ := last[Award](b); to != "full" {
		t.Errorf("it went to %s", to)
	}
	if why := b.core.Explain(id); why != "" {
		t.Errorf("it does not wait, but: %s", why)
	}
}

func TestLabelChangePlaces(t *testing.T) {
	b := table(t)
	b.join("p", 4000, "wasm=wazero")
	b.submit(1, "zone=eu")
	b.commit()
	b.step(PeerSeen{ID: "p", Labels: map[string]string{"wasm": "wazero", "zone": "eu"}, Boot: 1})
	b.commit()
	if to, _ := last[Award](b); to != "p" {
		t.Errorf("it went to %s", to)
	}
}

// Many waiting tasks of one kind are one thing to look at, and are placed in
// their order as far as the room goes.
func TestBurstWaitsInOrder(t *testing.T) {
	b := table(t)
	b.join("p", 2000, "wasm=wazero")
	var ids []job.ID
	for n := range 6 {
		ids = append(ids, b.submit(n, ""))
	}
	b.commit()
	if n := count[Award](b); n != 2 {
		t.Fatalf("%d awards for a room of 2", n)
	}
	if len(b.core.classes) != 1 {
		t.Errorf("%d classes", len(b.core.classes))
	}
	for n := range 6 {
		a := job.Attempt{Job: ids[n], Attempt: 1}
		b.step(Received{"p", Accept{a, b.bidOf(0)}})
		b.step(Received{"p", Report{Attempt: a, Bid: b.bidOf(1000), Result: good()}})
		b.commit()
		if j, _ := b.core.Job(ids[n]); j.State() != job.Done {
			t.Fatalf("job %d is %s", n, j.State())
		}
	}
}

func TestDeclinerIsNotAskedHotly(t *testing.T) {
	b := table(t)
	b.join("p", 4000, "wasm=wazero") // says that it has room, and declines
	id := b.submit(1, "")
	b.commit()
	for range 600 {
		for _, o := range b.sent {
			if a, ok := o.Message.(Award); ok {
				b.step(Received{"p", Decline{a.Attempt, b.bidOf(4000), "no"}})
			}
		}
		b.sent = nil
		b.commit()
		b.pass(100 * time.Millisecond)
	}
	j, _ := b.core.Job(id)
	if n := j.Tasks[0].Attempt; n < 3 || n > 12 {
		t.Errorf("a minute of declines made %d attempts", n)
	}
	if j.Tasks[0].Lost != 0 || !strings.Contains(b.core.Explain(id), "declined") {
		t.Errorf("lost %d: %s", j.Tasks[0].Lost, b.core.Explain(id))
	}
	b.join("q", 4000, "wasm=wazero")
	b.commit()
	if to, _ := last[Award](b); to != "q" {
		t.Errorf("a newcomer was not asked")
	}
}

func TestGivesUpAfterFivePeers(t *testing.T) {
	b := table(t)
	for n := range 7 {
		b.join(job.PeerID(fmt.Sprintf("peer%d", n)), 4000, "wasm=wazero")
	}
	id := b.submit(1, "")
	for range 5 {
		b.commit()
		to, a := last[Award](b)
		b.step(Received{to, Report{Attempt: a.Attempt, Bid: b.bidOf(4000), Failure: "no such block"}})
	}
	b.commit()
	j, _ := b.core.Job(id)
	if j.State() != job.Failed || len(j.Tasks[0].Tried) != 5 {
		t.Fatalf("%s after %v", j.State(), j.Tasks[0].Tried)
	}
	for _, p := range j.Tasks[0].Tried {
		if !strings.Contains(j.Reason, p.Short()) || strings.Count(j.Reason, "no such block (at ") != 1 {
			t.Errorf("%q does not name %s", j.Reason, p)
		}
	}
	if count[Award](b) != 5 {
		t.Errorf("%d awards", count[Award](b))
	}
}

// Alone, a peer that failed a task gets it again, with pauses.
func TestRetriesOnTheOnlyPeer(t *testing.T) {
	b := table(t)
	b.join("p", 4000, "wasm=wazero")
	id := b.submit(1, "")
	b.commit()
	begin := b.now
	for range maxBlamed {
		_, a := last[Award](b)
		b.step(Received{"p", Report{Attempt: a.Attempt, Bid: b.bidOf(4000), Failure: "no such block"}})
		b.commit()
		b.untilAwarded(id)
	}
	if j, _ := b.core.Job(id); j.State() != job.Failed || j.Tasks[0].Attempt != 5 || !strings.Contains(j.Reason, "5 lost attempts: no such block (at p)") {
		t.Errorf("after %v: %s, attempt %d: %s", b.now-begin, j.State(), j.Tasks[0].Attempt, j.Reason)
	}
}

func TestSilence(t *testing.T) {
	b := table(t)
	b.join("p", 4000, "wasm=wazero")
	id := b.submit(1, "")
	b.commit()
	b.pass(4 * time.Second)
	if n := count[Award](b); n < 3 {
		t.Errorf("an unanswered award was sent %d times", n)
	}
	b.pass(2 * time.Second)
	if j, _ := b.core.Job(id); j.Tasks[0].Lost != 1 {
		t.Fatalf("nobody answered, but: %+v", j.Tasks[0])
	}
	b.join("q", 4000, "wasm=wazero")
	b.pass(2 * time.Second) // the peer that failed it was tried again, or q
	to, a := last[Award](b)
	b.step(Received{to, Accept{a.Attempt, b.bidOf(3000)}})
	b.pass(6 * time.Second)
	if asked, m := last[Ask](b); asked != to || m.Attempts[0] != a.Attempt {
		t.Fatalf("%s was asked about %v", asked, m.Attempts)
	}
	b.step(Received{to, Holding{1, []Held{{a.Attempt, Running}}}})
	b.pass(14 * time.Second)
	if j, _ := b.core.Job(id); j.Tasks[0].Lost != 1 || j.State() != job.Running {
		t.Fatalf("it answered, but: %+v", j.Tasks[0])
	}
	b.pass(2 * time.Second)
	if j, _ := b.core.Job(id); j.Tasks[0].Lost != 2 {
		t.Fatalf("it was silent, but: %+v", j.Tasks[0])
	}
	if to, w := last[Withdraw](b); w.Attempt != a.Attempt {
		t.Errorf("withdrawn: %v from %s", w.Attempt, to)
	}
}

// A node that itself slept blames nobody for it.
func TestLateNodeForgives(t *testing.T) {
	b := table(t)
	b.join("p", 4000, "wasm=wazero")
	id := b.submit(1, "")
	b.commit()
	_, a := last[Award](b)
	b.step(Received{"p", Accept{a.Attempt, b.bidOf(3000)}})
	b.now += time.Hour
	b.step(Tick{})
	b.commit()
	if j, _ := b.core.Job(id); j.Tasks[0].Lost != 0 {
		t.Errorf("%+v", j.Tasks[0])
	}
}

func TestNewBootLosesAtOnce(t *testing.T) {
	b := table(t)
	b.join("p", 4000, "wasm=wazero")
	b.join("q", 500, "wasm=wazero")
	id := b.submit(1, "")
	b.commit()
	_, a := last[Award](b)
	b.step(Received{"p", Accept{a.Attempt, b.bidOf(3000)}})
	fresh := b.bidOf(4000)
	fresh.Boot = 2
	b.step(BidSeen{"p", fresh})
	if kinds(b.appended) != "lost" {
		t.Errorf("appended: %s", kinds(b.appended))
	}
	b.commit()
	if j, _ := b.core.Job(id); j.Tasks[0].Lost != 0 || !strings.Contains(j.Reason, "dropped it, to be asked again soon") {
		t.Errorf("%+v: %s", j.Tasks[0], j.Reason)
	}
	// What the dead process said before is void.
	b.step(BidSeen{"p", b.bidOf(100)})
	if got, _ := b.core.Bid("p"); got.Boot != 2 {
		t.Errorf("an old bid counts: %+v", got)
	}
}

// Only the peer that has an attempt is believed about it.
func TestForgedMessages(t *testing.T) {
	b := table(t)
	b.join("p", 4000, "wasm=wazero")
	b.join("evil", 100, "wasm=wazero")
	id := b.submit(1, "")
	b.commit()
	_, a := last[Award](b)
	for _, m := range []Message{
		Report{Attempt: a.Attempt}, Decline{Attempt: a.Attempt}, Started{a.Attempt},
		Holding{1, []Held{{a.Attempt, Gone}, {job.Attempt{Job: "other", Task: 7, Attempt: 9}, Running}}},
		Report{Attempt: job.Attempt{Job: id, Task: 1 << 19, Attempt: 1}},
		Accept{Attempt: job.Attempt{Job: id, Attempt: 2}},
	} {
		b.step(Received{"evil", m})
	}
	b.pass(time.Second)
	if j, _ := b.core.Job(id); j.State() != job.Awarded || j.Tasks[0].Executor != "p" {
		t.Errorf("%+v", j.Tasks[0])
	}
}

func TestCancelRace(t *testing.T) {
	b := table(t)
	b.join("p", 4000, "wasm=wazero")
	id := b.submit(1, "")
	b.commit()
	_, a := last[Award](b)
	// The result was appended first: it wins, and the canceller hears of it.
	b.step(Received{"p", Report{Attempt: a.Attempt, Bid: b.bidOf(4000), Result: good()}})
	b.answers = nil
	b.step(Cancel{Call: 9, ID: id})
	if len(b.answers) != 0 {
		t.Fatal("answered before anything is durable")
	}
	b.commit()
	if j, _ := b.core.Job(id); j.State() != job.Done || len(b.answers) != 1 || !errors.Is(b.answers[0].Err, ErrEnded) {
		t.Errorf("%s, %v", j.State(), b.answers)
	}
	// The other way round.
	id = b.submit(2, "")
	b.commit()
	_, a = last[Award](b)
	b.step(Cancel{Call: 10, ID: id, Reason: "enough"})
	b.step(Received{"p", Report{Attempt: a.Attempt, Bid: b.bidOf(4000), Result: good()}})
	b.answers = nil
	b.commit()
	if j, _ := b.core.Job(id); j.State() != job.Cancelled || j.Reason != "enough" || len(b.answers) != 1 || b.answers[0].Err != nil {
		t.Errorf("%s, %v", j.State(), b.answers)
	}
	if _, w := last[Withdraw](b); w.Attempt != a.Attempt {
		t.Errorf("withdrawn: %v", w.Attempt)
	}
}

func TestMaxOpen(t *testing.T) {
	b := &bench{T: t, core: NewCore(Config{Self: "self", Boot: 1, Ledger: "lllll", MaxOpen: 2})}
	for n := range 3 {
		b.submit(n, "")
	}
	b.commit()
	if len(b.answers) != 3 || !errors.Is(b.answers[0].Err, ErrBusy) {
		t.Errorf("%v", b.answers)
	}
}

// Two draws spread load, and equals go elsewhere than to the owner itself.
func TestDraws(t *testing.T) {
	b := table(t)
	b.join("self", 8000, "wasm=wazero")
	for n := range 4 {
		b.join(job.PeerID(fmt.Sprintf("peer%d", n)), 8000, "wasm=wazero")
	}
	for n := range 30 {
		b.submit(n, "")
	}
	events := b.commit()
	got := map[job.PeerID]int{}
	for _, ev := range events {
		if ev.Kind == job.AwardedTo {
			if got[ev.Peer]++; len(ev.Offers) == 0 || len(ev.Offers) > maxOffers || ev.Offers[0].Peer != ev.Peer {
				t.Fatalf("offers %v for %s", ev.Offers, ev.Peer)
			}
		}
	}
	if len(got) < 4 {
		t.Errorf("30 jobs went to %v", got)
	}
	for id, n := range got {
		if n > 8 {
			t.Errorf("%s was promised %d, it has room for 8", id, n)
		}
	}
}

func BenchmarkSubmitToDone(b *testing.B) {
	c := NewCore(Config{Self: "self", Boot: 1, Ledger: "lllll", MaxOpen: 1 << 30})
	seq := uint64(0)
	bid := func() Bid {
		seq++
		return Bid{Boot: 1, Seq: seq, Free: job.Room{CPU: 8000, Memory: 8 << 30}, Total: job.Room{CPU: 8000, Memory: 8 << 30}}
	}
	for n := range 5 {
		id := job.PeerID(fmt.Sprint("peer", n))
		c.Step(0, PeerSeen{ID: id, Labels: map[string]string{"wasm": "w"}, Boot: 1})
		c.Step(0, BidSeen{id, bid()})
	}
	for n := 0; b.Loop(); n++ {
		now := time.Duration(n) * time.Microsecond
		id := job.NewID("lllll", fmt.Sprint(n))
		eff := c.Step(now, Submit{ID: id, Spec: tiny("", "")})
		eff = c.Step(now, Committed{eff.Append})
		to, a := eff.Send[0].To, eff.Send[0].Message.(Award)
		c.Step(now, Received{to, Accept{a.Attempt, bid()}})
		eff = c.Step(now, Received{to, Report{Attempt: a.Attempt, Bid: bid(), Result: good()}})
		c.Step(now, Committed{eff.Append})
	}
}
