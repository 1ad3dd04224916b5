package wasm

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/executor/executortest"
)

const probe = "../executortest/testdata/probe"

func TestConformance(t *testing.T) {
	both(t, func(t *testing.T, x *Executor) {
		executortest.Run(t, executortest.Subject{
			Executor: x,
			Module:   guests.Go(t, probe),
			Children: func() ([]string, error) { return childrenOf(os.Getpid()), nil },
		})
	})
}

// What programs of two languages do with files, on both engines.
func TestFiles(t *testing.T) {
	both(t, func(t *testing.T, x *Executor) {
		t.Run("Go", func(t *testing.T) {
			tk := task(t, guests.Go(t, "testdata/gofiles"), "one", "two words")
			set := t.TempDir()
			write(t, filepath.Join(set, "a"), "a")
			write(t, filepath.Join(set, "sub", "b"), "b")
			log := filepath.Join(t.TempDir(), "log")
			write(t, log, "one file\n")
			tk.Mounts = []executor.Mount{
				{Host: log, Guest: "/in/log"},
				{Host: set, Guest: "/in/set"},
				{Host: t.TempDir(), Guest: "/out", Write: true},
			}
			wellDone(t, x, tk)
		})
		t.Run("C", func(t *testing.T) {
			tk := task(t, guests.C(t, "testdata/cfiles.c"), "one", "two words")
			in := t.TempDir()
			write(t, filepath.Join(in, "file"), "input\n")
			tk.Mounts = []executor.Mount{{Host: in, Guest: "/in"}, {Host: t.TempDir(), Guest: "/out", Write: true}}
			wellDone(t, x, tk)
		})
	})
}

func wellDone(t *testing.T, x *Executor, tk executor.Task) {
	t.Helper()
	tk.Env = map[string]string{"NAME": "value"}
	r, err := x.Run(t.Context(), tk)
	if out := read(t, tk.Stdout); err != nil || !r.OK() || out != "all well\n" {
		t.Fatalf("got %+v, error %v\n%s%s", r, err, out, read(t, tk.Stderr))
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
