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
	block   chan struct{}
}

func (s *store) Fetch(ctx context.Context, ref, dst string) error {
	s.mu.Lock()
	make := s.refs[ref]
	if s.fetched == nil {
		s.fetched = map[string]int{}
	}
	s.fetched[ref]++
	s.mu.Unlock()
	if make == nil {
		return errors.New("nobody has it")
	}
	if ref == "ipfs://slow" {
		select {
		case <-s.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return make(dst)
}

func (s *store) Put(ctx context.Context, path string) (string, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
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
		"ipfs://module": file("module"),
		"ipfs://slow":   file("module"),
		"ipfs://file":   file("content\n"),
		"ipfs://folder": folder("a", "b"),
		"ipfs://link":   func(dst string) error { return os.Symlink("/etc", dst) },
	}}
	r, err := executor.NewRunner(dir, s, x, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

func spec(args ...string) job.Spec {
	return job.Spec{Task: job.Task{WASM: &job.WASM{Module: "ipfs://module"}, Args: args}}
}

func attempt(n int) job.Attempt { return job.Attempt{Job: "abcdefghijkmn", Task: 0, Attempt: n} }

func TestRunnerWhole(t *testing.T) {
	dir := t.TempDir()
	r, s := newRunner(t, dir, &fake.Executor{})
	sp := spec("read=/in/file", "list=/in/dir", "write=/out/one/x:1", "write=/out/two/y:22", "eprint=err", "exit=3")
	sp.Inputs = []job.Input{{From: "ipfs://file", At: "/in/file"}, {From: "ipfs://folder", At: "/in/dir"}}
	sp.Outputs = []job.OutputDir{{Name: "one", At: "/out/one"}, {Name: "two", At: "/out/two"}}
	for n := 1; n <= 2; n++ {
		started := 0
		got, err := r.Run(t.Context(), attempt(n), sp, func() { started++ })
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
	if s.fetched["ipfs://module"] != 1 || s.fetched["ipfs://file"] != 2 {
		t.Errorf("fetched %v, want the module once", s.fetched)
	}
	p := make([]byte, 100)
	n, ended, err := r.ReadLog(attempt(1), executor.Stdout, 3, p)
	if string(p[:n]) != "tent\na\nb\n" || !ended || err != nil {
		t.Errorf("got log %q, ended %v, error %v", p[:n], ended, err)
	}
	left, err := os.ReadDir(filepath.Join(dir, attempt(1).String()))
	if err != nil || len(left) != 2 {
		t.Errorf("the attempt left %v, error %v; want its two logs", left, err)
	}
}

func TestRunnerWhoIsToBlame(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*job.Spec)
		err    string // of this machine
		fault  string // of the job
	}{
		{"module nobody has", func(s *job.Spec) { s.Task.WASM.Module = "ipfs://none" }, "fetching the module ipfs://none: nobody has it", ""},
		{"module is a folder", func(s *job.Spec) { s.Task.WASM.Module = "ipfs://folder" }, "", "is not a file"},
		{"input nobody has", func(s *job.Spec) { s.Inputs = []job.Input{{From: "ipfs://none", At: "/in"}} }, "fetching the input ipfs://none", ""},
		{"input is a link", func(s *job.Spec) { s.Inputs = []job.Input{{From: "ipfs://link", At: "/in"}} }, "", "neither a file nor a folder"},
		{"broken machine", func(s *job.Spec) { s.Task.Args = []string{"fail"} }, "broken", ""},
		{"no WebAssembly", func(s *job.Spec) { s.Task.WASM = nil }, "WebAssembly only", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := newRunner(t, t.TempDir(), &fake.Executor{})
			sp := spec("print=x")
			c.change(&sp)
			got, err := r.Run(t.Context(), attempt(1), sp, func() {})
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got error %v, want %q", err, c.err)
			}
			if c.fault == "" && got.Error != "" || !strings.Contains(got.Error, c.fault) {
				t.Errorf("got %+v, want %q", got, c.fault)
			}
		})
	}
}

// linker is an executor whose program leaves a link among its outputs.
type linker struct{}

func (linker) Run(_ context.Context, t executor.Task) (job.Result, error) {
	return job.Result{}, os.Symlink("/etc/passwd", filepath.Join(t.Mounts[0].Host, "l"))
}

func TestRunnerPublishesNoLinks(t *testing.T) {
	r, s := newRunner(t, t.TempDir(), linker{})
	sp := spec()
	sp.Outputs = []job.OutputDir{{Name: "one", At: "/out"}}
	got, err := r.Run(t.Context(), attempt(1), sp, func() {})
	if err != nil || !strings.Contains(got.Error, "output one cannot be published: l is neither") || len(s.put) > 0 {
		t.Errorf("got %+v, error %v, published %v", got, err, s.put)
	}
}

// Names come from other peers and must not lead out of the folder.
func TestRunnerRefusesNames(t *testing.T) {
	dir := t.TempDir()
	r, _ := newRunner(t, filepath.Join(dir, "work"), &fake.Executor{})
	for _, a := range []job.Attempt{{}, {Job: "../x"}, {Job: "a/b"}, {Job: ".modules"}, {Job: "x", Task: -1}, {Job: "A"}, {Job: "a\x00"}} {
		if _, err := r.Run(t.Context(), a, spec(), func() { t.Error("started") }); err == nil {
			t.Errorf("attempt %q was run", a)
		}
		if _, _, err := r.ReadLog(a, executor.Stdout, 0, nil); err == nil {
			t.Errorf("the log of attempt %q was read", a)
		}
	}
	if _, _, err := r.ReadLog(attempt(1), executor.Stdout, 0, nil); !errors.Is(err, executor.ErrNoLog) {
		t.Errorf("got %v for an attempt that never was", err)
	}
	if _, _, err := r.ReadLog(attempt(1), "../x", 0, nil); err == nil {
		t.Error("a stream that is none was read")
	}
}

func TestRunnerCancel(t *testing.T) {
	r, s := newRunner(t, t.TempDir(), &fake.Executor{})
	first, stopFirst := context.WithCancel(t.Context())
	sp := spec("print=x")
	sp.Task.WASM.Module = "ipfs://slow"
	errs := make(chan error, 2)
	run := func(ctx context.Context, n int) {
		_, err := r.Run(ctx, attempt(n), sp, func() {})
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
	r, _ := newRunner(t, t.TempDir(), &fake.Executor{})
	ctx, stop := context.WithCancel(t.Context())
	begun, done := make(chan struct{}), make(chan error)
	go func() {
		_, err := r.Run(ctx, attempt(1), spec("hang"), func() { close(begun) })
		done <- err
	}()
	<-begun
	if _, ended, err := r.ReadLog(attempt(1), executor.Stdout, 0, make([]byte, 10)); ended || err != nil {
		t.Errorf("while it runs: ended %v, error %v", ended, err)
	}
	if _, err := r.Run(t.Context(), attempt(1), spec(), func() {}); err == nil || !strings.Contains(err.Error(), "already running") {
		t.Errorf("a second run of one attempt: %v", err)
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, ended, err := r.ReadLog(attempt(1), executor.Stdout, 0, make([]byte, 10)); !ended || err != nil {
		t.Errorf("afterwards: ended %v, error %v", ended, err)
	}
}

func TestRunnerStart(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, attempt(9).String())
	if err := os.MkdirAll(filepath.Join(old, "inputs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := folder("x")(filepath.Join(old, "inputs", "0")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(old, "stdout"), filepath.Join(dir, "stray")} {
		if err := os.WriteFile(path, []byte("log"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := newRunner(t, dir, &fake.Executor{})
	p := make([]byte, 10)
	if n, ended, err := r.ReadLog(attempt(9), executor.Stdout, 0, p); string(p[:n]) != "log" || !ended || err != nil {
		t.Errorf("got %q, ended %v, error %v", p[:n], ended, err)
	}
	for _, path := range []string{filepath.Join(old, "inputs"), filepath.Join(dir, "stray")} {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s is still there (%v)", path, err)
		}
	}
}
