package executor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"go.uber.org/zap/zaptest"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/executor/fake"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// store is a Store in memory: what is fetched is made by a function, what is
// put is remembered.
type store struct {
	mu      sync.Mutex
	refs    map[string]func(dst string) error
	fetched map[string]int
	put     []string // relative path=content of every file
	named   []string // what the paths that were put end with
	putting func(ctx context.Context, path string) error
	block   chan struct{}
}

// refusal is how a store says that content is to blame.
type refusal string

func (r refusal) Error() string { return string(r) }

func (refusal) Refused() bool { return true }

// ref is a reference to content called name.
func ref(name string) string {
	id, err := cid.V1Builder{Codec: cid.Raw, MhType: multihash.SHA2_256}.Sum([]byte(name))
	if err != nil {
		panic(err) // SHA-256 takes everything
	}
	return "ipfs://" + id.String()
}

// The peers that lead jobs here.
const (
	owner = job.PeerID("12D3KooWJohLAn7tYwCoyj1kHrPBBWdeV2Ut8oH7r3jL9L2kcPHv")
	other = job.PeerID("12D3KooWQcNs8mRyhbSGnkYiUT5sQKMoGdGNOaJYUXLPHRSyWuXK")
)

func (s *store) Fetch(ctx context.Context, want, dst string) error {
	s.mu.Lock()
	make := s.refs[want]
	if s.fetched == nil {
		s.fetched = map[string]int{}
	}
	s.fetched[want]++
	s.mu.Unlock()
	if make == nil {
		return errors.New("nobody has it")
	}
	if want == ref("slow") {
		select {
		case <-s.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return make(dst)
}

func (s *store) Put(ctx context.Context, path, name string) (string, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.named = append(s.named, name)
	if s.putting != nil {
		return "", 0, s.putting(ctx, path)
	}
	size := int64(0)
	err := filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(path, p)
		s.put = append(s.put, rel+"="+string(b))
		size += int64(len(b))
		return err
	})
	return fmt.Sprintf("cid%d", len(s.put)), size, err
}

func file(content string) func(string) error {
	return func(dst string) error { return os.WriteFile(dst, []byte(content), 0o444) }
}

func folder(files ...string) func(string) error {
	return func(dst string) error {
		if err := os.Mkdir(dst, 0o700); err != nil {
			return err
		}
		for _, name := range files {
			if err := os.WriteFile(filepath.Join(dst, name), []byte(name), 0o444); err != nil {
				return err
			}
		}
		return os.Chmod(dst, 0o555)
	}
}

func newRunner(t *testing.T, dir string, x executor.Executor) (*executor.Runner, *store) {
	t.Helper()
	s := &store{block: make(chan struct{}), refs: map[string]func(string) error{
		ref("module"): file("module"),
		ref("slow"):   file("module"),
		ref("file"):   file("content\n"),
		ref("folder"): folder("a", "b"),
		ref("link"):   func(dst string) error { return os.Symlink("/etc", dst) },
		ref("bad"):    func(string) error { return fmt.Errorf("reading it: %w", refusal("it is too deep")) },
	}}
	r, err := executor.NewRunner(dir, s, x, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

func spec(args ...string) job.Spec {
	return job.Spec{Task: job.Task{WASM: &job.WASM{Module: ref("module")}, Args: args}}
}

func attempt(n int) job.Attempt { return job.Attempt{Job: "abcdefghijkmn", Task: 0, Attempt: n} }

func TestRunnerWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, s := newRunner(t, dir, &fake.Executor{})
	sp := spec("read=/in/file", "list=/in/dir", "write=/out/one/x:1", "write=/out/two/y:22", "eprint=err", "exit=3")
	sp.Inputs = []job.Input{{From: ref("file"), At: "/in/file"}, {From: ref("folder"), At: "/in/dir"}}
	sp.Outputs = []job.OutputDir{{Name: "one", At: "/out/one"}, {Name: "two", At: "/out/two"}}
	for n := 1; n <= 2; n++ {
		started := 0
		got, err := r.Run(t.Context(), owner, attempt(n), sp, func() { started++ })
		if err != nil || got.Exit != 3 || got.Error != "" || started != 1 {
			t.Fatalf("got %+v, error %v, started %d times", got, err, started)
		}
		if len(got.Outputs) != 2 || got.Outputs[0].Name != "one" || got.Outputs[1].Size != 2 {
			t.Errorf("got outputs %+v", got.Outputs)
		}
	}
	if want := []string{"x=1", "y=22", "x=1", "y=22"}; !slices.Equal(s.put, want) {
		t.Errorf("published %q, want %q", s.put, want)
	}
	if want := []string{"job abcdefghijkmn/one", "job abcdefghijkmn/two", "job abcdefghijkmn/one", "job abcdefghijkmn/two"}; !slices.Equal(s.named, want) {
		t.Errorf("published as %q, want %q", s.named, want)
	}
	if s.fetched[ref("module")] != 1 || s.fetched[ref("file")] != 2 {
		t.Errorf("fetched %v, want the module once", s.fetched)
	}
	p := make([]byte, 100)
	n, ended, err := r.ReadLog(owner, attempt(1), executor.Stdout, 3, p)
	if string(p[:n]) != "tent\na\nb\n" || !ended || err != nil {
		t.Errorf("got log %q, ended %v, error %v", p[:n], ended, err)
	}
	left, err := os.ReadDir(filepath.Join(dir, string(owner), attempt(1).String()))
	if err != nil || len(left) != 2 {
		t.Errorf("the attempt left %v, error %v; want its two logs", left, err)
	}
}

func TestRunnerWhoIsToBlame(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*job.Spec)
		err    string // of this machine
		fault  string // of the job
	}{
		{"module nobody has", func(s *job.Spec) { s.Task.WASM.Module = ref("none") }, "fetching the module " + ref("none") + ": nobody has it", ""},
		{"module is a folder", func(s *job.Spec) { s.Task.WASM.Module = ref("folder") }, "", "is not a file"},
		{"input nobody has", func(s *job.Spec) { s.Inputs = []job.Input{{From: ref("none"), At: "/in"}} }, "fetching the input " + ref("none") + " for /in", ""},
		{"input is a link", func(s *job.Spec) { s.Inputs = []job.Input{{From: ref("link"), At: "/in"}} }, "", "neither a file nor a folder"},
		{"module that cannot be", func(s *job.Spec) { s.Task.WASM.Module = ref("bad") }, "", "cannot be fetched: reading it: it is too deep"},
		{"input that cannot be", func(s *job.Spec) { s.Inputs = []job.Input{{From: ref("bad"), At: "/in"}} }, "", "for /in cannot be fetched"},
		{"broken machine", func(s *job.Spec) { s.Task.Args = []string{"fail"} }, "broken", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := newRunner(t, t.TempDir(), &fake.Executor{})
			sp := spec("print=x")
			c.change(&sp)
			got, err := r.Run(t.Context(), owner, attempt(1), sp, func() {})
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got error %v, want %q", err, c.err)
			}
			if c.fault == "" && got.Error != "" || !strings.Contains(got.Error, c.fault) {
				t.Errorf("got %+v, want %q", got, c.fault)
			}
		})
	}
}

// Names come from other peers and must not lead out of the folder.
func TestRunnerRefusesNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, _ := newRunner(t, filepath.Join(dir, "work"), &fake.Executor{})
	for _, a := range []job.Attempt{{}, {Job: "../x"}, {Job: "a/b"}, {Job: ".modules"}, {Job: "x", Task: -1}, {Job: "A"}, {Job: "a\x00"}} {
		if _, err := r.Run(t.Context(), owner, a, spec(), func() { t.Error("started") }); err == nil {
			t.Errorf("attempt %q was run", a)
		}
		if _, _, err := r.ReadLog(owner, a, executor.Stdout, 0, nil); err == nil {
			t.Errorf("the log of attempt %q was read", a)
		}
	}
	if _, _, err := r.ReadLog(owner, attempt(1), executor.Stdout, 0, nil); !errors.Is(err, executor.ErrNoLog) {
		t.Errorf("got %v for an attempt that never was", err)
	}
	if _, _, err := r.ReadLog(owner, attempt(1), "../x", 0, nil); err == nil {
		t.Error("a stream that is none was read")
	}
	for _, o := range []job.PeerID{"", ".", "..", "../x", "a/b", ".modules", "a\x00", "a\xff", job.PeerID(strings.Repeat("a", 129))} {
		if _, err := r.Run(t.Context(), o, attempt(1), spec(), func() { t.Error("started") }); err == nil {
			t.Errorf("an attempt for %q was run", o)
		}
		if _, _, err := r.ReadLog(o, attempt(1), executor.Stdout, 0, nil); err == nil {
			t.Errorf("a log of %q was read", o)
		}
	}
	empty(t, filepath.Join(dir, "work"))
}

// empty wants a runner's folder without a trace of an attempt.
func empty(t *testing.T, dir string) {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "[^.]*"))
	if err != nil || len(list) > 0 {
		t.Errorf("there is %q, error %v", list, err)
	}
}

// A spec comes from another peer too.
func TestRunnerRefusesSpecs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, s := newRunner(t, dir, &fake.Executor{})
	for want, change := range map[string]func(*job.Spec){
		"WebAssembly only":         func(s *job.Spec) { s.Task.WASM = nil },
		"not valid":                func(s *job.Spec) { s.Task.WASM.Module = "ipfs://no" },
		"path on the submitter":    func(s *job.Spec) { s.Task.WASM.Module = "main.wasm" },
		"outputs[0].name":          func(s *job.Spec) { s.Outputs = []job.OutputDir{{Name: "../../x", At: "/out"}} },
		"task.args[0]: has a NUL ": func(s *job.Spec) { s.Task.Args = slices.Repeat([]string{"\x00"}, 4000) },
	} {
		sp := spec()
		change(&sp)
		got, err := r.Run(t.Context(), owner, attempt(1), sp, func() { t.Errorf("%s: started", want) })
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 1000 {
			t.Errorf("got %+v, error %v, want %q", got, err, want)
		}
	}
	if len(s.fetched) > 0 {
		t.Errorf("fetched %v", s.fetched)
	}
	empty(t, dir)
}

// What a peer calls its job is no other peer's: neither its log nor its turn.
func TestRunnerKeepsOwnersApart(t *testing.T) {
	t.Parallel()
	r, _ := newRunner(t, t.TempDir(), &fake.Executor{})
	for o, sp := range map[job.PeerID]job.Spec{owner: spec("print=mine"), other: spec("print=forged")} {
		if _, err := r.Run(t.Context(), o, attempt(1), sp, func() {}); err != nil {
			t.Fatal(err)
		}
	}
	for o, want := range map[job.PeerID]string{owner: "mine\n", other: "forged\n"} {
		p := make([]byte, 100)
		if n, ended, err := r.ReadLog(o, attempt(1), executor.Stdout, 0, p); string(p[:n]) != want || !ended || err != nil {
			t.Errorf("%s reads %q, ended %v, error %v", o.Short(), p[:n], ended, err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	begun, done := make(chan struct{}), make(chan error)
	go func() {
		_, err := r.Run(ctx, other, attempt(2), spec("hang"), func() { close(begun) })
		done <- err
	}()
	<-begun
	if _, err := r.Run(t.Context(), owner, attempt(2), spec(), func() {}); err != nil {
		t.Errorf("while another's attempt of that name runs: %v", err)
	}
	stop()
	<-done
}

func TestRunnerCancel(t *testing.T) {
	t.Parallel()
	r, s := newRunner(t, t.TempDir(), &fake.Executor{})
	first, stopFirst := context.WithCancel(t.Context())
	sp := spec("print=x")
	sp.Task.WASM.Module = ref("slow")
	errs := make(chan error, 2)
	run := func(ctx context.Context, n int) {
		_, err := r.Run(ctx, owner, attempt(n), sp, func() {})
		errs <- err
	}
	go run(first, 1)
	stopFirst()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want that it was cancelled", err)
	}
	close(s.block)
	run(t.Context(), 2)
	if err := <-errs; err != nil {
		t.Errorf("the next attempt at the same module: %v", err)
	}
}

func TestRunnerLogsWhileItRuns(t *testing.T) {
	t.Parallel()
	r, _ := newRunner(t, t.TempDir(), &fake.Executor{})
	ctx, stop := context.WithCancel(t.Context())
	begun, done := make(chan struct{}), make(chan error)
	go func() {
		_, err := r.Run(ctx, owner, attempt(1), spec("hang"), func() { close(begun) })
		done <- err
	}()
	<-begun
	if _, ended, err := r.ReadLog(owner, attempt(1), executor.Stdout, 0, make([]byte, 10)); ended || err != nil {
		t.Errorf("while it runs: ended %v, error %v", ended, err)
	}
	if _, err := r.Run(t.Context(), owner, attempt(1), spec(), func() {}); err == nil || !strings.Contains(err.Error(), "already running") {
		t.Errorf("a second run of one attempt: %v", err)
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, ended, err := r.ReadLog(owner, attempt(1), executor.Stdout, 0, make([]byte, 10)); !ended || err != nil {
		t.Errorf("afterwards: ended %v, error %v", ended, err)
	}
}

func TestRunnerStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := filepath.Join(dir, string(owner), attempt(9).String())
	if err := os.MkdirAll(filepath.Join(old, "inputs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := folder("x")(filepath.Join(old, "inputs", "0")); err != nil {
		t.Fatal(err)
	}
	strays := []string{
		filepath.Join(dir, "stray"),
		filepath.Join(dir, attempt(9).String(), "stdout"),   // in no owner's folder
		filepath.Join(dir, string(owner), "a.0", "stdout"),  // in no attempt's
		filepath.Join(dir, string(other), "inputs.deep-1"),  // a file
		filepath.Join(dir, string(owner), "a.0.1.x", "log"), // a folder
		filepath.Join(dir, ".modules", "x"),
	}
	for _, path := range append(strays, filepath.Join(old, "stdout")) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("log"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := newRunner(t, dir, &fake.Executor{})
	p := make([]byte, 10)
	if n, ended, err := r.ReadLog(owner, attempt(9), executor.Stdout, 0, p); string(p[:n]) != "log" || !ended || err != nil {
		t.Errorf("got %q, ended %v, error %v", p[:n], ended, err)
	}
	for _, path := range append(strays, filepath.Join(old, "inputs"), filepath.Join(dir, string(other))) {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s is still there (%v)", path, err)
		}
	}
}
