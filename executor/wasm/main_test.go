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
	if runner.dir != "" {
		os.RemoveAll(runner.dir)
	}
	os.Exit(code)
}

// runner is wasm-runner, built once per test run.
var runner struct {
	once sync.Once
	dir  string
	out  []byte
	err  error
}

func runnerDir(t testing.TB) string {
	t.Helper()
	runner.once.Do(func() {
		if runner.dir, runner.err = os.MkdirTemp("", "shoal-runner-"); runner.err == nil {
			runner.out, runner.err = exec.Command("./build-runner.sh", runner.dir).CombinedOutput()
		}
	})
	if runner.err != nil {
		t.Fatalf("building wasm-runner, which needs gcc and binutils (apt-get install gcc libc6-dev binutils): %v\n%s", runner.err, runner.out)
	}
	return runner.dir
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
	// The race detector would rest a second at the end of each child.
	x.engine.env = append(x.engine.env, "GORACE=atexit_sleep_ms=0")
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
