package fake_test

import (
	"path/filepath"
	"testing"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/executor/executortest"
	"github.com/shoal-mesh/shoal/executor/fake"
)

func TestConformance(t *testing.T) {
	executortest.Run(t, executortest.Subject{Executor: &fake.Executor{}, Module: "none"})
}

func TestFailEvery(t *testing.T) {
	dir := t.TempDir()
	x := &fake.Executor{FailEvery: 2}
	task := executor.Task{Stdout: filepath.Join(dir, "out"), Stderr: filepath.Join(dir, "err")}
	executortest.Touch(t, task.Stdout, task.Stderr)
	for i, broken := range []bool{false, true, false, true} {
		if _, err := x.Run(t.Context(), task); (err != nil) != broken {
			t.Errorf("run %d: error %v", i, err)
		}
	}
	task.Args = []string{"fail"}
	if _, err := x.Run(t.Context(), task); err == nil {
		t.Error("fail did not fail")
	}
}
