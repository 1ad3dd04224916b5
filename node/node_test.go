package node

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

func TestThreePeersRunAJobNextToItsData(t *testing.T) {
	t.Parallel()
	a, b, c := three(t)

	book := b.add("book.txt", []byte("in the beginning\n"))
	var got bytes.Buffer
	if err := c.Cat(t.Context(), book, &got); err != nil || got.String() != "in the beginning\n" {
		t.Fatalf("cat at another peer: %q, %v", got.String(), err)
	}

	s := c.job("print", "hello", "warn", "careful", "cat", "/inputs/book", "write", "/outputs/result/copy", "made there")
	s.Spec.Name = "copy"
	s.Spec.Where = "site=attic"
	s.Spec.Inputs = []job.Input{{From: "ipfs://" + book, At: "/inputs/book"}}
	s.Spec.Outputs = []job.OutputDir{{Name: "result", At: "/outputs/result"}}
	id := c.submit(s)

	// Any peer answers for it, by a prefix of its ID.
	for _, r := range []*running{a, b, c} {
		j := r.wait(id[:8])
		task := j.Tasks[0]
		if j.State() != job.Done || task.Executor != a.id || j.Submitter != c.id {
			t.Fatalf("at %s: state %s, executor %s, submitter %s, reason %q", r.cfg.Labels["site"], j.State(), task.Executor, j.Submitter, j.Reason)
		}
		stdout, stderr := r.output(id, api.LogOptions{Follow: true})
		if stdout != "hello\nin the beginning\n" || stderr != "careful\n" {
			t.Errorf("at %s: stdout %q, stderr %q", r.cfg.Labels["site"], stdout, stderr)
		}
		list, err := r.List(t.Context())
		if err != nil || len(list.Jobs) != 1 || string(list.Jobs[0].ID) != id || list.Jobs[0].Name != "copy" || len(list.Silent) > 0 {
			t.Errorf("at %s: list %+v, %v", r.cfg.Labels["site"], list, err)
		}
	}
	j := b.wait(id)
	if n := len(j.Tasks[0].Result.Outputs); n != 1 {
		t.Fatalf("%d outputs, want 1", n)
	}
	if files := b.files(j.Tasks[0].Result.Outputs[0].CID); files["copy"] != "made there" {
		t.Errorf("the output holds %v", files)
	}
	again, err := c.Submit(t.Context(), s)
	if err != nil || string(again.ID) != id {
		t.Errorf("the same submission again: job %s, %v; want job %s", again.ID, err, id)
	}
}

// files fetches a folder and returns its files by their path below it.
func (r *running) files(ref string) map[string]string {
	r.t.Helper()
	var b bytes.Buffer
	if err := r.Tar(r.t.Context(), ref, &b); err != nil {
		r.t.Fatal(err)
	}
	out := map[string]string{}
	for archive := tar.NewReader(&b); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			r.t.Fatal(err)
		}
		_, name, _ := strings.Cut(strings.TrimSuffix(h.Name, "/"), "/")
		data, err := io.ReadAll(archive)
		if err != nil {
			r.t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			out[name] = string(data)
		}
	}
}

func TestOutputIsLiveAndCancelLeavesNothing(t *testing.T) {
	t.Parallel()
	a, _, c := three(t)
	s := c.job("print", "begun", "sleep", "600000")
	s.Spec.Where = "site=attic"
	id := c.submit(s)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan string, 1)
	followed := make(chan error, 1)
	go func() {
		followed <- c.Logs(ctx, id, api.LogOptions{Follow: true}, func(l api.LogChunk) error {
			seen <- string(l.Data)
			return nil
		})
	}()
	if got := <-seen; got != "begun\n" {
		t.Errorf("the first output is %q", got)
	}
	// Cancelled at a peer that neither took it in nor runs it.
	if _, err := a.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if j := c.wait(id); j.State() != job.Cancelled {
		t.Errorf("the job is %s", j.State())
	}
	if err := <-followed; err != nil {
		t.Errorf("following ended with %v", err)
	}
	eventually(t, "the guest's work folder is gone", func(context.Context) bool {
		left, _ := filepath.Glob(filepath.Join(a.home, "work", id+"*", "inputs"))
		return len(left) == 0
	})
	if _, err := a.Cancel(t.Context(), "zzzzzzzz"); api.CodeOf(err) != api.CodeNotFound {
		t.Errorf("cancel of an unknown job: %v", err)
	}
}

func TestJobOutlivesItsExecutor(t *testing.T) {
	t.Parallel()
	a, b, c := three(t)
	s := c.job("print", "begun", "sleep", "3000", "print", "ended")
	s.Spec.Where = "site!=cellar"
	id := c.submit(s)
	first := c.waitFor(id, "it runs", func(j job.Job) bool { return j.Tasks[0].State == job.Running }).Tasks[0].Executor
	for _, r := range []*running{a, b} {
		if r.id == first {
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
		}
	}
	j := c.wait(id)
	task := j.Tasks[0]
	if j.State() != job.Done || task.Executor == first || task.Attempt < 2 {
		t.Errorf("%s at %s, attempt %d; the first was at %s; reason %q", j.State(), task.Executor, task.Attempt, first, j.Reason)
	}
	if stdout, _ := c.output(id, api.LogOptions{}); stdout != "begun\nended\n" {
		t.Errorf("the output is %q", stdout)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	a := start(t, Config{})
	t.Run("exit code", func(t *testing.T) {
		j := a.wait(a.submit(a.job("warn", "no", "exit", "3")))
		if j.State() != job.Failed || j.Tasks[0].Result == nil || j.Tasks[0].Result.Exit != 3 {
			t.Errorf("%s, %+v", j.State(), j.Tasks[0].Result)
		}
	})
	t.Run("time-out", func(t *testing.T) {
		s := a.job("sleep", "600000")
		s.Spec.Timeout = job.Duration(300 * time.Millisecond)
		j := a.wait(a.submit(s))
		if j.State() != job.Failed || !strings.Contains(j.Tasks[0].Result.Error, "300ms") {
			t.Errorf("%s, %+v", j.State(), j.Tasks[0].Result)
		}
	})
	t.Run("module that is no WASM", func(t *testing.T) {
		s := a.job()
		s.Spec.Task.WASM.Module = "ipfs://" + a.add("x.wasm", []byte("#!/bin/sh\n"))
		j := a.wait(a.submit(s))
		if j.State() != job.Failed || !strings.Contains(j.Reason+j.Tasks[0].Result.Error, "WebAssembly") {
			t.Errorf("%s, %q, %+v", j.State(), j.Reason, j.Tasks[0].Result)
		}
	})
	t.Run("no peer fits", func(t *testing.T) {
		s := a.job("print", "x")
		s.Spec.Where = "site=moon"
		id := a.submit(s)
		j, err := a.Job(t.Context(), id)
		if err != nil || j.State() != job.Waiting || !strings.Contains(j.Reason, "site=moon") {
			t.Errorf("%s, %q, %v", j.State(), j.Reason, err)
		}
		if j, err := a.Cancel(t.Context(), id); err != nil || j.State() != job.Cancelled {
			t.Errorf("cancel: %s, %v", j.State(), err)
		}
	})
	t.Run("bad spec", func(t *testing.T) {
		s := a.job("print", "x")
		s.Spec.Inputs = []job.Input{{From: "./book", At: "/inputs/book"}}
		if _, err := a.Submit(t.Context(), s); api.CodeOf(err) != api.CodeInvalid {
			t.Errorf("a local path in a submission: %v", err)
		}
	})
}

// What a guest or a peer says is kept in the ledger, which must be readable after
// it, whatever it was.
func TestLedgerSurvivesWhatGuestsSay(t *testing.T) {
	t.Parallel()
	a := start(t, Config{})
	s := a.job("oddlink", "/outputs/result")
	s.Spec.Outputs = []job.OutputDir{{Name: "result", At: "/outputs/result"}}
	id := a.submit(s)
	j := a.wait(id)
	if j.State() != job.Failed || !strings.Contains(j.Tasks[0].Result.Error, "result") {
		t.Errorf("%s, %+v", j.State(), j.Tasks[0].Result)
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	a = start(t, Config{Home: a.home})
	if j, err := a.Job(t.Context(), id); err != nil || j.State() != job.Failed {
		t.Errorf("after a restart: %s, %v", j.State(), err)
	}
}

func TestRestartKeepsJobsPeersAndData(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true, Labels: map[string]string{"site": "attic"}})
	b := start(t, Config{Join: a.offer.API, Token: a.offer.Join.Token, Labels: map[string]string{"site": "barn"}})
	a.waitPeers(2)
	b.waitPeers(2)
	data := b.add("kept.txt", []byte("kept"))
	done := b.submit(b.job("print", "x"))
	b.wait(done)
	s := b.job("print", "x")
	s.Spec.Where = "site=moon"
	waiting := b.submit(s)
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	// Nothing but the home is given: the key and the peers are in it.
	b = start(t, Config{Home: b.home, Labels: map[string]string{"site": "moon"}, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, API: "127.0.0.1:0"})
	b.waitPeers(2)
	if j, err := b.Job(t.Context(), done); err != nil || j.State() != job.Done {
		t.Errorf("the job that was done is %s, %v", j.State(), err)
	}
	if j := b.wait(waiting); j.State() != job.Done || j.Tasks[0].Executor != b.id {
		t.Errorf("the job that waited is %s at %s", j.State(), j.Tasks[0].Executor)
	}
	var got bytes.Buffer
	if err := b.Cat(t.Context(), data, &got); err != nil || got.String() != "kept" {
		t.Errorf("the data is %q, %v", got.String(), err)
	}
}

func TestReturnWhileTheNamedMemberIsDown(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	a := start(t, Config{Private: true, Initial: true, API: free.Addr().String(), Labels: map[string]string{"site": "attic"}})
	b := start(t, Config{Join: a.offer.API, Token: a.offer.Join.Token, Labels: map[string]string{"site": "barn"}})
	b.waitPeers(2)
	if err := errors.Join(a.stop(), b.stop()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(b.home, "peers.json")); err != nil {
		t.Fatal(err) // so that only the address can help
	}
	b = start(t, Config{Home: b.home, Join: a.offer.API, Labels: map[string]string{"site": "barn"}})
	start(t, Config{Home: a.home, API: a.offer.API, Labels: map[string]string{"site": "attic"}})
	b.waitPeers(2)
}

func TestOneOfTwoContactsIsEnough(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	a := start(t, Config{Private: true, Initial: true})
	b := start(t, Config{Private: true, Peers: []string{"http://" + free.Addr().String(), "http://" + a.offer.API}, Token: a.offer.Join.Token})
	b.waitPeers(2)
}

func TestJobsOfAPeerThatIsAway(t *testing.T) {
	t.Parallel()
	a, b, c := three(t)
	s := b.job("sleep", "600000")
	s.Spec.Where = "site=attic"
	id := b.submit(s)
	b.waitFor(id, "it runs", func(j job.Job) bool { return j.Tasks[0].State == job.Running })
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*running{a, c} {
		r.waitPeers(2)
		if _, err := r.Job(t.Context(), id); api.CodeOf(err) != api.CodeUnavailable || !strings.Contains(err.Error(), b.id.Short()) {
			t.Errorf("at %s: %v; want that the owner is away", r.cfg.Labels["site"], err)
		}
	}
	if _, err := a.Job(t.Context(), "zzzzzzzz"); api.CodeOf(err) != api.CodeNotFound {
		t.Errorf("a job that never was: %v", err)
	}
	// The attempt goes on without its owner, which takes it up again.
	b = start(t, Config{Home: b.home, Labels: map[string]string{"site": "barn"}})
	j := b.waitFor(id, "it runs", func(j job.Job) bool { return j.Tasks[0].State == job.Running })
	if j.Tasks[0].Attempt != 1 || j.Tasks[0].Executor != a.id {
		t.Errorf("attempt %d at %s; the first one at attic was to go on", j.Tasks[0].Attempt, j.Tasks[0].Executor)
	}
	if _, err := c.Cancel(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func TestDataThatNobodyHas(t *testing.T) {
	t.Parallel()
	const unknown = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
	a := start(t, Config{Patience: 100 * time.Millisecond})
	if err := a.Cat(t.Context(), unknown, io.Discard); api.CodeOf(err) != api.CodeNoSuchCID || !strings.Contains(err.Error(), unknown) {
		t.Errorf("cat: %v", err)
	}
	s := a.job("print", "x")
	s.Spec.Inputs = []job.Input{{From: "ipfs://" + unknown, At: "/inputs/x"}}
	j := a.wait(a.submit(s))
	if j.State() != job.Failed || !strings.Contains(j.Reason, unknown) || !strings.Contains(j.Reason, "/inputs/x") {
		t.Errorf("%s, %q", j.State(), j.Reason)
	}
}

func TestEntryIsRefused(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true})
	other := start(t, Config{Private: true, Initial: true})
	key, err := p2p.LoadSwarmKey(filepath.Join(a.home, "swarm.key"))
	if err != nil {
		t.Fatal(err)
	}
	expired, err := key.NewToken(time.Now().Add(-2*time.Hour), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	open := start(t, Config{})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "swarm.key"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"no token", Config{Join: a.offer.API}, []string{"token", "node token create"}},
		{"expired token", Config{Join: a.offer.API, Token: expired}, []string{"expired", "node token create"}},
		{"foreign token", Config{Join: a.offer.API, Token: other.offer.Join.Token}, []string{"another swarm"}},
		{"truncated token", Config{Join: a.offer.API, Token: a.offer.Join.Token[:20]}, []string{"token"}},
		{"member that says it is in an open swarm", Config{Join: open.offer.API, Token: a.offer.Join.Token}, []string{"open swarm", open.offer.API}},
		{"likewise, without a token", Config{Join: open.offer.API}, []string{"open swarm"}},
		{"likewise, by --peer", Config{Peers: []string{"http://" + open.offer.API}, Token: a.offer.Join.Token}, []string{"open swarm"}},
		{"no key", Config{Private: true}, []string{"--initial", "node token create"}},
		{"home in use", Config{Home: a.home}, []string{"in use by process", "--home"}},
		{"API port in use", Config{API: taken.Addr().String()}, []string{taken.Addr().String(), "--api"}},
		{"libp2p port in use", Config{Listen: []string{"/ip4/127.0.0.1/tcp/" + port(taken)}}, []string{port(taken), "--listen"}},
		{"damaged key", Config{Home: damaged}, []string{"swarm.key"}},
		{"bad label", Config{Labels: map[string]string{"a b": "c"}}, []string{"--label"}},
		{"label of the node's own", Config{Labels: map[string]string{"arch": "c"}}, []string{"--label", "itself"}},
		{"bad peer", Config{Peers: []string{"/ip4/10.0.0.7/udp"}}, []string{"--peer"}},
		{"found and join", Config{Private: true, Initial: true, Join: "10.0.0.7"}, []string{"one or the other"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := tryStart(t, tc.cfg)
			if err == nil {
				t.Fatal("it started")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

func port(l net.Listener) string {
	_, p, _ := net.SplitHostPort(l.Addr().String())
	return p
}
