package wasm

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/executor/executortest"
)

var guests executortest.Guests

func TestMain(m *testing.M) {
	MaybeChild()
	maybeBrokenChild()
	maybeParent()
	code := m.Run()
	guests.Remove()
	for _, b := range []*built{&runner, &plainChild} {
		if b.dir != "" {
			os.RemoveAll(b.dir)
		}
	}
	os.Exit(code)
}

// built is a program that is built once per test run, into a folder.
type built struct {
	once sync.Once
	dir  string
	out  []byte
	err  error
}

var runner, plainChild built

func (b *built) in(t testing.TB, needs string, command func(dir string) *exec.Cmd) string {
	t.Helper()
	b.once.Do(func() {
		if b.dir, b.err = os.MkdirTemp("", "shoal-runner-"); b.err == nil {
			b.out, b.err = command(b.dir).CombinedOutput()
		}
	})
	if b.err != nil {
		t.Fatalf("building a child, which needs %s: %v\n%s", needs, b.err, b.out)
	}
	return b.dir
}

func runnerDir(t testing.TB) string {
	t.Helper()
	return runner.in(t, "gcc and binutils (apt-get install gcc libc6-dev binutils)", func(dir string) *exec.Cmd {
		return exec.Command("./build-runner.sh", dir)
	})
}

// plain is the program of testdata/child.
func plain(t testing.TB) string {
	t.Helper()
	return filepath.Join(plainChild.in(t, "Go", func(dir string) *exec.Cmd {
		cmd := exec.Command("go", "build", "-trimpath", "-o", dir, "./testdata/child")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as nodes are built, so that little is left to compile
		return cmd
	}), "child")
}

// both runs a test on each engine.
func both(t *testing.T, test func(*testing.T, *Executor)) {
	t.Run("wazero", func(t *testing.T) { test(t, open(t, Config{Wazero: true})) })
	t.Run("wasmer", func(t *testing.T) { test(t, open(t, Config{Runner: runnerDir(t)})) })
}

func open(t testing.TB, cfg Config) *Executor {
	t.Helper()
	cfg.Dir = t.TempDir()
	return reopen(t, cfg)
}

// reopen is what the next process finds.
func reopen(t testing.TB, cfg Config) *Executor {
	t.Helper()
	x, err := New(cfg, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	if raced && !x.engine.artifact {
		x.engine.path = plain(t)
	}
	return x
}

// task is a task with empty logs and generous limits.
func task(t testing.TB, module string, args ...string) executor.Task {
	t.Helper()
	dir := t.TempDir()
	tk := executor.Task{
		Module: module, Args: args,
		Stdout: filepath.Join(dir, "stdout"), Stderr: filepath.Join(dir, "stderr"),
		Limits: executor.Limits{Memory: 256 << 20, Wall: time.Minute, Output: 1 << 20},
	}
	for _, path := range []string{tk.Stdout, tk.Stderr} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tk
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
