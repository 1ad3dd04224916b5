package scheduler

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"github.com/shoal-mesh/shoal/scheduler/job"
	"github.com/shoal-mesh/shoal/scheduler/ledger"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// air connects Schedulers in one process. Frames queue up per receiver, as in a
// stream, and are dropped where nobody is.
type air struct {
	mu    sync.Mutex
	nodes map[job.PeerID]*node
}

type node struct {
	*Scheduler
	air    *air
	id     job.PeerID
	mail   chan letter
	cancel context.CancelFunc
	ended  sync.WaitGroup
	ledger *ledger.Ledger
	runner *script
	failed error
}

type letter struct {
	from  job.PeerID
	frame []byte
	bid   bool
}

func (n *node) Send(to job.PeerID, frame []byte) { n.post(to, letter{n.id, frame, false}) }
func (n *node) Publish(b Bid) {
	frame, err := EncodeBid(b)
	if err != nil {
		panic(err)
	}
	n.air.mu.Lock()
	defer n.air.mu.Unlock()
	if n.air.nodes[n.id] != n {
		return // unplugged
	}
	for id, other := range n.air.nodes {
		if id != n.id {
			other.put(letter{n.id, frame, true})
		}
	}
}

func (n *node) post(to job.PeerID, l letter) {
	n.air.mu.Lock()
	defer n.air.mu.Unlock()
	if other := n.air.nodes[to]; other != nil && n.air.nodes[n.id] == n {
		other.put(l)
	}
}

func (n *node) put(l letter) {
	select {
	case n.mail <- l:
	default:
	}
}

func (n *node) read(ctx context.Context, t testing.TB) {
	for {
		select {
		case l := <-n.mail:
			if !l.bid {
				if err := n.Receive(l.from, l.frame); err != nil {
					t.Error(err)
				}
				continue
			}
			b, err := DecodeBid(l.from, l.frame)
			if err != nil {
				t.Error(err)
			}
			n.ReceiveBid(l.from, b)
		case <-ctx.Done():
			return
		}
	}
}

// script is a runner that does what the job's first argument says.
type script struct {
	id    job.PeerID
	began chan job.Attempt // one for each program that began
	end   chan struct{}    // closed: programs that wait may end
}

func (r *script) Run(ctx context.Context, _ job.PeerID, a job.Attempt, spec job.Spec, started func()) (job.Result, error) {
	started()
	select {
	case r.began <- a:
	default:
	}
	switch spec.Task.Args[0] {
	case "wait":
		select {
		case <-r.end:
		case <-ctx.Done():
			return job.Result{}, ctx.Err()
		}
	case "fail":
		return job.Result{Exit: 3}, nil
	case "cannot":
		return job.Result{}, fmt.Errorf("nothing to run it with at %s", r.id)
	case "raw": // a file's name, as a program may choose it
		return job.Result{Error: "output by cannot be published: \xff is neither a file nor a folder"}, nil
	case "long":
		return job.Result{Error: "x" + strings.Repeat("é", 700)}, nil
	case "vast":
		return job.Result{Outputs: make([]job.Output, 10_000)}, nil
	}
	return job.Result{Outputs: []job.Output{{Name: "by", CID: cidOf(string(r.id))}}}, nil
}

// cidOf is a CID that says as much as the text.
func cidOf(text string) string {
	id, err := cid.Prefix{Version: 1, Codec: cid.Raw, MhType: multihash.SHA2_256, MhLength: -1}.Sum([]byte(text))
	if err != nil {
		panic(err)
	}
	return id.String()
}

// cluster starts nodes on a new air. Room for four tiny jobs each.
func cluster(t testing.TB, names ...job.PeerID) map[job.PeerID]*node {
	t.Helper()
	a := &air{nodes: map[job.PeerID]*node{}}
	all := map[job.PeerID]*node{}
	for i, name := range names {
		all[name] = launch(t, a, name, filepath.Join(t.TempDir(), "ledger.db"), uint64(i+1))
	}
	return all
}

func launch(t testing.TB, a *air, name job.PeerID, path string, boot uint64) *node {
	t.Helper()
	l, err := ledger.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{air: a, id: name, mail: make(chan letter, 1024), ledger: l,
		runner: &script{name, make(chan job.Attempt, 64), make(chan struct{})}}
	labels := map[string]string{"wasm": "wazero", "name": string(name)}
	n.Scheduler, err = New(Config{Self: name, Boot: boot, Ledger: l.ID(), Labels: labels, Room: job.Room{CPU: 4000, Memory: 4 << 30}, Seed: 1},
		l, n, n.runner, zaptest.NewLogger(t, zaptest.Level(zapLevel)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.ended.Go(func() { l.Run(context.WithoutCancel(ctx)) })
	var inner sync.WaitGroup
	inner.Go(func() { n.read(ctx, t) })
	n.ended.Go(func() {
		n.failed = n.Run(ctx)
		inner.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { n.kill(t) })
	a.mu.Lock()
	a.nodes[name] = n
	var others []*node
	for _, o := range a.nodes {
		others = append(others, o)
	}
	a.mu.Unlock()
	for _, o := range others {
		if o != n {
			o.PeerSeen(Peer{name, labels, boot})
			n.PeerSeen(Peer{o.id, o.cfg.Labels, o.cfg.Boot})
		}
	}
	return n
}

// unplug cuts a node off without a word, and stops it.
func (n *node) unplug(t testing.TB) {
	n.air.mu.Lock()
	if n.air.nodes[n.id] == n {
		delete(n.air.nodes, n.id)
	}
	n.air.mu.Unlock()
	n.kill(t)
}

func (n *node) kill(t testing.TB) {
	n.cancel()
	n.ended.Wait()
	if n.failed != nil {
		t.Errorf("%s: %v", n.id, n.failed)
	}
}

const zapLevel = zap.ErrorLevel

var aModule = "ipfs://" + cidOf("a program")

func tiny(what, where string) job.Spec {
	return job.Spec{Name: "tiny", Where: where, Task: job.Task{WASM: &job.WASM{Module: aModule}, Args: []string{what}},
		Outputs: []job.OutputDir{{Name: "by", At: "/by"}}, Resources: job.Resources{CPU: 1000, Memory: 512 << 20}}
}

func (n *node) submit(t testing.TB, spec job.Spec, nonce string) job.ID {
	t.Helper()
	id, err := n.Submit(t.Context(), spec, nonce)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// until watches a job until it is in the state.
func (n *node) until(t testing.TB, id job.ID, want job.State) job.Job {
	t.Helper()
	var last job.Job
	reached := errors.New("reached")
	err := n.Watch(t.Context(), id, func(j job.Job) error {
		if last = j; j.State() == want {
			return reached
		}
		return nil
	})
	if err != reached {
		t.Fatalf("job %s is %s (%s), not %s: %v", id, last.State(), last.Reason, want, err)
	}
	return last
}

func TestSubmitAndWait(t *testing.T) {
	nodes := cluster(t, "a", "b", "c")
	a := nodes["a"]
	j := a.until(t, a.submit(t, tiny("work", "name=b"), "first"), job.Done)
	if by := j.Tasks[0].Result.Outputs[0].CID; by != cidOf("b") || j.Tasks[0].Executor != "b" {
		t.Errorf("it ran at %s", by)
	}
	if len(j.History[1].Offers) != 1 || j.History[1].Offers[0].Peer != "b" {
		t.Errorf("offers: %+v", j.History[1])
	}
	j = a.until(t, a.submit(t, tiny("fail", ""), "second"), job.Failed)
	if j.Reason != "exit code 3" {
		t.Errorf("it failed because of %q", j.Reason)
	}
	list, err := a.List(t.Context())
	if err != nil || len(list) != 2 || list[0].State != job.Done || list[1].State != job.Failed {
		t.Errorf("list: %+v, %v", list, err)
	}
	bids, err := a.Bids(t.Context())
	if _, own := bids["a"]; err != nil || !own || bids["b"].Total.CPU != 4000 {
		t.Errorf("bids: %+v, %v", bids, err)
	}
}

// Whatever a program says, here or on another peer: its owner hears of its end,
// and reads it again at the next start.
func TestOddTextOfPrograms(t *testing.T) {
	a := &air{nodes: map[job.PeerID]*node{}}
	path := filepath.Join(t.TempDir(), "ledger.db")
	owner := launch(t, a, "a", path, 1)
	launch(t, a, "b", filepath.Join(t.TempDir(), "ledger.db"), 1)
	before := map[job.ID]string{}
	for _, at := range []string{"name=a", "name=b"} {
		for _, what := range []string{"raw", "long"} {
			j := owner.until(t, owner.submit(t, tiny(what, at), what+at), job.Failed)
			if !utf8.ValidString(j.Reason) || len(j.Reason) > keptText {
				t.Errorf("%s, %s: the reason is %q", what, at, j.Reason)
			}
			before[j.ID] = j.Reason
		}
	}
	id := owner.submit(t, tiny("vast", "name=b"), "vast")
	owner.until(t, id, job.Waiting) // lost, and to be tried again
	owner.unplug(t)

	owner = launch(t, a, "a", path, 2)
	for id, reason := range before {
		if j, err := owner.Job(t.Context(), string(id)); err != nil || j.Reason != reason {
			t.Errorf("after the restart: %q, %v", j.Reason, err)
		}
	}
}

func TestRepeatedSubmit(t *testing.T) {
	a := cluster(t, "a")["a"]
	var group sync.WaitGroup
	ids := make([]job.ID, 10)
	for i := range ids {
		group.Go(func() { ids[i], _ = a.Submit(t.Context(), tiny("work", ""), "the same") })
	}
	group.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Errorf("one nonce made %q and %q", ids[0], id)
		}
	}
	a.until(t, ids[0], job.Done)
	if list, _ := a.List(t.Context()); len(list) != 1 {
		t.Errorf("%d jobs", len(list))
	}
	if _, err := a.Submit(t.Context(), tiny("fail", ""), "the same"); !errors.Is(err, ErrConflict) {
		t.Errorf("one nonce and two specs: %v", err)
	}
}

func TestCancelRunning(t *testing.T) {
	nodes := cluster(t, "a", "b")
	a, b := nodes["a"], nodes["b"]
	id := a.submit(t, tiny("wait", "name=b"), "n")
	attempt := <-b.runner.began
	if held, err := inLoop(t.Context(), b.Scheduler, func() bool { return b.worker.Held(Charge{"a", attempt}) }); err != nil || !held {
		t.Errorf("b holds %v: %v, %v", attempt, held, err)
	}
	j, err := a.Cancel(t.Context(), string(id), "enough")
	if err != nil || j.State() != job.Cancelled || j.Reason != "enough" {
		t.Errorf("%s (%s), %v", j.State(), j.Reason, err)
	}
	// Its room is free again, so four more fit.
	for i := range 4 {
		a.submit(t, tiny("wait", "name=b"), fmt.Sprint("more", i))
	}
	for range 4 {
		<-b.runner.began
	}
	if _, err := a.Cancel(t.Context(), string(id), "again"); !errors.Is(err, ErrEnded) {
		t.Errorf("cancelling twice: %v", err)
	}
}

func TestExecutorKilled(t *testing.T) {
	nodes := cluster(t, "a", "b", "c")
	a, b, c := nodes["a"], nodes["b"], nodes["c"]
	id := a.submit(t, tiny("wait", "name!=a"), "n")
	first, second := b, c
	select {
	case <-b.runner.began:
	case <-c.runner.began:
		first, second = c, b
	}
	first.unplug(t)
	a.PeerGone(first.id, first.cfg.Boot, "connection refused")
	<-second.runner.began
	close(second.runner.end)
	j := a.until(t, id, job.Done)
	if p := j.Tasks[0]; p.Executor != second.id || p.Attempt != 2 || p.Lost != 1 || p.Tried[0] != first.id {
		t.Errorf("%+v", p)
	}
}

// A node that stops in good order tells the owner, who blames nobody.
func TestExecutorLeaves(t *testing.T) {
	nodes := cluster(t, "a", "b", "c")
	a := nodes["a"]
	id := a.submit(t, tiny("wait", "name!=a"), "n")
	first, second := nodes["b"], nodes["c"]
	select {
	case <-first.runner.began:
	case <-second.runner.began:
		first, second = second, first
	}
	first.kill(t)
	<-second.runner.began
	close(second.runner.end)
	if p := a.until(t, id, job.Done).Tasks[0]; p.Executor != second.id || p.Lost != 0 {
		t.Errorf("%+v", p)
	}
}

func TestRestart(t *testing.T) {
	a := &air{nodes: map[job.PeerID]*node{}}
	path := filepath.Join(t.TempDir(), "ledger.db")
	owner := launch(t, a, "a", path, 1)
	other := launch(t, a, "b", filepath.Join(t.TempDir(), "ledger.db"), 1)
	elsewhere := owner.submit(t, tiny("wait", "name=b"), "elsewhere")
	here := owner.submit(t, tiny("wait", "name=a"), "here")
	waiting := owner.submit(t, tiny("work", "name=c"), "waiting")
	<-other.runner.began
	<-owner.runner.began
	owner.until(t, elsewhere, job.Running)
	owner.unplug(t)

	owner = launch(t, a, "a", path, 2)
	// What ran on the other peer was adopted: it ends as the attempt it was.
	close(other.runner.end)
	if p := owner.until(t, elsewhere, job.Done).Tasks[0]; p.Attempt != 1 {
		t.Errorf("adopted: %+v", p)
	}
	// What ran here is placed anew.
	<-owner.runner.began
	close(owner.runner.end)
	if p := owner.until(t, here, job.Done).Tasks[0]; p.Attempt != 2 {
		t.Errorf("placed anew: %+v", p)
	}
	// What waited goes on waiting, until somebody fits.
	j, err := owner.Job(t.Context(), string(waiting))
	if err != nil || j.State() != job.Waiting || j.Reason == "" {
		t.Errorf("%s, %q, %v", j.State(), j.Reason, err)
	}
	launch(t, a, "c", filepath.Join(t.TempDir(), "ledger.db"), 1)
	owner.until(t, waiting, job.Done)
}

func TestFind(t *testing.T) {
	a := cluster(t, "a")["a"]
	one, two := a.submit(t, tiny("work", ""), "1"), a.submit(t, tiny("work", ""), "2")
	if j, err := a.Job(t.Context(), string(one)); err != nil || j.ID != one {
		t.Errorf("%v, %v", j.ID, err)
	}
	var ambiguous *AmbiguousError
	if _, err := a.Job(t.Context(), string(a.ledger.ID())); !errors.As(err, &ambiguous) || len(ambiguous.IDs) != 2 {
		t.Errorf("%v", err)
	}
	for _, prefix := range []string{"", "zzzzzzzz", string(two) + "x"} {
		if _, err := a.Job(t.Context(), prefix); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", prefix, err)
		}
	}
	if err := a.Watch(t.Context(), "nothing", func(job.Job) error { return nil }); !errors.Is(err, ErrNotFound) {
		t.Errorf("watching what is not there: %v", err)
	}
}

func TestBadSubmissions(t *testing.T) {
	a := cluster(t, "a")["a"]
	big, noProgram, greedy := tiny("work", ""), tiny("work", ""), tiny("work", "")
	big.Task.Args = append(big.Task.Args, string(make([]byte, MaxSpec)))
	noProgram.Task.WASM = nil
	greedy.Resources.CPU = -1
	wordy, local := tiny("work", ""), tiny("work", "")
	wordy.Task.Args = make([]string, 4097)
	local.Task.WASM = &job.WASM{Module: "./main.wasm"}
	for name, spec := range map[string]job.Spec{
		"selector": tiny("work", "==="), "big": big, "no program": noProgram, "negative": greedy, "local": local,
		"more arguments than a message holds": wordy, "no UTF-8": tiny("\xff", ""),
	} {
		if id, err := a.Submit(t.Context(), spec, name); !errors.Is(err, ErrSpec) {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
}

// dead is a log whose disk has failed.
type dead struct{ committed chan []job.Event }

func (d dead) Replay(func(job.Event) error) error { return nil }
func (d dead) Append(...job.Event)                {}
func (d dead) Committed() <-chan []job.Event      { return d.committed }

func TestLogFails(t *testing.T) {
	d := dead{make(chan []job.Event)}
	cfg := Config{Self: "a", Boot: 1, Ledger: "lllll"}
	s, err := New(cfg, d, &node{air: &air{}}, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- s.Run(context.Background()) }()
	submitted := make(chan error)
	go func() {
		_, err := s.Submit(context.Background(), tiny("work", ""), "n")
		submitted <- err
	}()
	close(d.committed)
	if err := <-ended; err == nil {
		t.Error("Run goes on without a log")
	}
	if err := <-submitted; !errors.Is(err, ErrStopped) {
		t.Errorf("a submitter was told %v", err)
	}
	if _, err := New(Config{}, d, nil, nil, zap.NewNop()); err == nil {
		t.Error("an empty Config was taken")
	}
}

func TestStoppedAnswers(t *testing.T) {
	a := cluster(t, "a")["a"]
	id := a.submit(t, tiny("wait", ""), "n")
	<-a.runner.began
	watched := make(chan error, 1)
	seen := make(chan struct{}, 16)
	go func() {
		watched <- a.Watch(context.Background(), id, func(job.Job) error { seen <- struct{}{}; return nil })
	}()
	<-seen
	a.kill(t)
	if err := <-watched; !errors.Is(err, ErrStopped) {
		t.Errorf("a watcher was told %v", err)
	}
	if _, err := a.Submit(t.Context(), tiny("work", ""), "late"); !errors.Is(err, ErrStopped) {
		t.Errorf("a late submitter was told %v", err)
	}
	a.PeerGone("b", 1, "nobody listens any more") // does not block
}

// A caller that has gone on shares nothing with what the loop still does for it.
func TestAbandonedCalls(t *testing.T) {
	d := dead{make(chan []job.Event)}
	s, err := New(Config{Self: "a", Boot: 1, Ledger: "lllll"}, d, &node{air: &air{}}, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(context.Context) error{
		"List": func(ctx context.Context) error { _, err := s.List(ctx); return err },
		"Bids": func(ctx context.Context) error { _, err := s.Bids(ctx); return err },
		"Job":  func(ctx context.Context) error { _, err := s.Job(ctx, "lllll"); return err },
		"Watch": func(ctx context.Context) error {
			return s.Watch(ctx, "lllll", func(job.Job) error { return nil })
		},
		"Submit": func(ctx context.Context) error { _, err := s.Submit(ctx, tiny("work", ""), "n"); return err },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() { left <- call(ctx) }()
		taken := <-s.inbox // the loop has it, and is slow
		cancel()
		ran := make(chan struct{})
		go func() { taken.(func())(); close(ran) }() // the race detector watches this
		if err := <-left; err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		<-ran
		for len(s.inbox) > 0 {
			<-s.inbox // what a call leaves to be undone
		}
	}
}

// What a tiny job costs from submit to its end, on another node, with two fsyncs.
func BenchmarkTinyJob(b *testing.B) {
	a := cluster(b, "a", "b", "c")["a"]
	for n := 0; b.Loop(); n++ {
		a.until(b, a.submit(b, tiny("work", "name=b"), fmt.Sprint(n)), job.Done)
	}
}

// The same, many at a time.
func BenchmarkBurst(b *testing.B) {
	a := cluster(b, "a", "b", "c")["a"]
	for n := 0; b.Loop(); n++ {
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() {
				id, err := a.Submit(b.Context(), tiny("work", ""), fmt.Sprint(n, i))
				if err == nil {
					err = a.Watch(b.Context(), id, func(job.Job) error { return nil })
				}
				if err != nil {
					b.Error(err)
				}
			})
		}
		group.Wait()
	}
	b.ReportMetric(float64(100*b.N)/b.Elapsed().Seconds(), "jobs/s")
}
