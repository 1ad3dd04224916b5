package scheduler

import (
	"strings"
	"testing"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

func mounting(names ...string) job.Spec {
	s := tiny("", "")
	for _, n := range names {
		s.Inputs = append(s.Inputs, job.Input{From: "mount://" + n + "/today", At: "/in/" + n})
	}
	return s
}

func (b *bench) submitSpec(nonce string, s job.Spec) job.ID {
	b.Helper()
	id := job.NewID("lllll", nonce)
	b.step(Submit{Call: 1, ID: id, Spec: s})
	b.commit()
	return id
}

func (b *bench) waits(id job.ID, why ...string) {
	b.Helper()
	j, _ := b.core.Job(id)
	if j.State() != job.Waiting {
		b.Errorf("job %s is %s at %s", id, j.State(), j.Tasks[0].Executor)
	}
	for _, w := range why {
		if !strings.Contains(j.Reason, w) {
			b.Errorf("job %s waits since %q, which does not say %q", id, j.Reason, w)
		}
	}
}

func (b *bench) runsAt(id job.ID, at job.PeerID) {
	b.Helper()
	b.commit()
	if j, _ := b.core.Job(id); j.Tasks[0].Executor != at {
		b.Errorf("job %s is %s at %q, want it at %s; reason %q", id, j.State(), j.Tasks[0].Executor, at, j.Reason)
	}
}

// A job goes where all its mounts are, and waits with words until there is one.
func TestMountsChooseThePeer(t *testing.T) {
	b := table(t)
	b.join("empty", 4000, "wasm=w")
	b.join("logs", 4000, "wasm=w", "mount/logs=yes")
	one := b.submitSpec("one", mounting("logs"))
	b.runsAt(one, "logs")
	two := b.submitSpec("two", mounting("data", "logs", "logs"))
	b.waits(two, "no peer offers all of the mounts data, logs", "--mount")
	none := b.submitSpec("none", mounting("video"))
	b.waits(none, "no peer offers the mount video")
	b.join("both", 50, "wasm=w", "mount/logs=yes", "mount/data=yes")
	b.waits(two, "of 3 peers", "2 not offering all of the mounts data, logs", "1 with too little free cpu")
	// A label that a peer gains places what waited for it, as does room.
	b.step(BidSeen{From: "both", Bid: b.bidOf(4000)})
	b.runsAt(two, "both")
	b.step(PeerSeen{ID: "empty", Labels: map[string]string{"wasm": "w", "mount/video": "yes"}, Boot: 1})
	b.runsAt(none, "empty")
	// One that it loses takes no job more.
	b.step(PeerSeen{ID: "empty", Labels: map[string]string{"wasm": "w"}, Boot: 1})
	b.waits(b.submitSpec("lost", mounting("video")), "no peer offers the mount video")
}

// However many kinds of jobs wait, a new label places the one that waited for it.
func TestNewLabelFindsItsJobAmongMany(t *testing.T) {
	b := table(t)
	b.join("p", 4000, "wasm=w")
	for i := range 10 * offerLimit {
		b.submit(i, "rack="+string(rune('a'+i%26))+strings.Repeat("x", i/26))
	}
	id := b.submit(99999, "colour=blue")
	b.commit()
	b.waits(id, "colour=blue")
	b.step(PeerSeen{ID: "p", Labels: map[string]string{"wasm": "w", "colour": "blue"}, Boot: 1})
	b.runsAt(id, "p")
}

// Who says that it does not run this node's jobs is not asked; describe says so.
func TestOwnersHeedWhomPeersAccept(t *testing.T) {
	b := table(t)
	self := string(b.core.cfg.Self)
	b.join("closed", 4000, "wasm=w", "accepts=listed", "accepts/somebody=yes")
	id := b.submitSpec("one", mounting())
	b.waits(id, "1 not running jobs of this node", "--accept-from "+self)
	b.join(b.core.cfg.Self, 50, "wasm=w", "accepts=listed") // its own jobs it runs, and has no room
	b.waits(id, "1 not running jobs of this node", "1 with too little free cpu")
	b.join("open", 4000, "wasm=w", "accepts=listed", "accepts/"+self+"=yes")
	b.runsAt(id, "open")
	b.step(BidSeen{From: b.core.cfg.Self, Bid: b.bidOf(8000)})
	b.step(PeerGone{ID: "open", Boot: 1})
	b.commit()
	b.pass(bidInterval)
	if j, _ := b.core.Job(id); j.Tasks[0].Executor == "closed" {
		t.Error("a peer that does not run this node's jobs was asked")
	}
}

func listedWorker(accept ...job.PeerID) *Worker {
	return NewWorker(Config{Self: "w", Boot: 1, Ledger: "lllll", Listed: true, Accept: accept,
		Labels: map[string]string{"wasm": "wazero", "mount/logs": "yes"}, Room: job.Room{CPU: 4000, Memory: 4 << 30}})
}

func answer(t *testing.T, w *Worker, from job.PeerID, id job.ID, s job.Spec) Message {
	t.Helper()
	eff := w.Step(w.now+1, Received{from, Award{attempt(id, 1), s}})
	if len(eff.Send) != 1 || eff.Send[0].To != from {
		t.Fatalf("sent %+v", eff.Send)
	}
	if _, declined := eff.Send[0].Message.(Decline); declined && len(eff.Start) > 0 {
		t.Fatal("it declined and began")
	}
	return eff.Send[0].Message
}

// The executor believes no label but what it was started with: whoever is not
// named is declined, and cannot fill its memory.
func TestWorkerRunsOnlyWhomItAccepts(t *testing.T) {
	w := listedWorker("b")
	if _, ok := answer(t, w, "b", "fromb", tiny("", "")).(Accept); !ok {
		t.Error("an accepted peer's job was declined")
	}
	if _, ok := answer(t, w, "w", "own", tiny("", "")).(Accept); !ok {
		t.Error("the node's own job was declined")
	}
	for _, stranger := range []job.PeerID{"c", "B", "", "b "} {
		m, ok := answer(t, w, stranger, "fromc", tiny("", "")).(Decline)
		if !ok || !strings.Contains(m.Reason, "does not run jobs of peer "+string(stranger)) || !strings.Contains(m.Reason, "--accept-from") {
			t.Errorf("%q: %+v", stranger, m)
		}
	}
	// What strangers withdraw and ask for leaves no mark: b's attempt 1 stays fenced.
	before := w.fence.next
	for range 3 {
		w.Step(w.now+1, Received{"c", Withdraw{attempt("x", 1)}})
		eff := w.Step(w.now+1, Received{"c", Ask{[]job.Attempt{attempt("y", 1)}}})
		if m, ok := eff.Send[0].Message.(Holding); !ok || m.Attempts[0].Phase != Gone {
			t.Errorf("asked, it said %+v", eff.Send)
		}
	}
	if w.fence.next != before {
		t.Error("a stranger's words took room")
	}
	nobody := listedWorker()
	if _, ok := answer(t, nobody, "b", "fromb", tiny("", "")).(Decline); !ok {
		t.Error("a node that accepts nobody ran a job")
	}
	if _, ok := answer(t, nobody, "w", "own", tiny("", "")).(Accept); !ok {
		t.Error("a node that accepts nobody declined its own job")
	}
}

// A decline reaches the owner's describe, and is not asked for again and again.
func TestDeclineOfAPeerThatLied(t *testing.T) {
	b := table(t)
	b.join("p", 4000, "wasm=w") // says nothing, and runs nobody's jobs
	id := b.submit(1, "")
	b.commit()
	declined := 0
	for range 600 { // ten minutes
		if j, _ := b.core.Job(id); j.Tasks[0].Executor == "p" && j.State() == job.Awarded {
			declined++
			b.step(Received{"p", Decline{Attempt: j.Current(0), Bid: b.bidOf(4000), Reason: "it does not run jobs of peer o"}})
		}
		b.pass(1e9)
		b.step(BidSeen{"p", b.bidOf(4000)})
		b.commit()
	}
	if declined < 2 || declined > 30 {
		t.Errorf("it was asked %d times in ten minutes", declined)
	}
	j, _ := b.core.Job(id)
	if last := j.History[len(j.History)-1]; last.Kind != job.Lost || !strings.Contains(last.Reason, "declined: it does not run jobs of peer o") {
		t.Errorf("the history ends with %+v", last)
	}
}

func TestWorkerDeclinesMountsThatItLacks(t *testing.T) {
	w := listedWorker()
	if _, ok := answer(t, w, "w", "a", mounting("logs")).(Accept); !ok {
		t.Error("a job with a mount that is offered was declined")
	}
	if m, ok := answer(t, w, "w", "b", mounting("logs", "video")).(Decline); !ok || !strings.Contains(m.Reason, "does not offer all of the mounts logs, video") {
		t.Errorf("%+v", m)
	}
	w.Step(w.now+1, PeerSeen{ID: "w", Labels: map[string]string{"wasm": "wazero"}, Boot: 1})
	if m, ok := answer(t, w, "w", "c", mounting("logs")).(Decline); !ok || !strings.Contains(m.Reason, "does not offer the mount logs") {
		t.Errorf("%+v", m)
	}
}
