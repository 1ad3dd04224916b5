package wasm

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

//go:embed selftest.wasm
var selfTest []byte

// SelfTest runs a tiny program for real. Where Wasmer does not work it changes
// to wazero for good, and says so in the log; Engine then names that. An error
// means that this machine cannot run WebAssembly at all.
func (x *Executor) SelfTest(ctx context.Context) error {
	e := x.current()
	err := x.test(ctx, e)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if e.artifact {
		x.log.Warn("Wasmer does not work here, using wazero, which is slower", zap.Error(err))
		e = wazero()
		x.mu.Lock()
		x.engine = e
		x.mu.Unlock()
		if err = x.test(ctx, e); err == nil {
			return nil
		}
	}
	return fmt.Errorf("WebAssembly does not work here: %w", err)
}

func (x *Executor) test(ctx context.Context, e engine) error {
	dir, err := x.cache.workspace() // where the next process would clear it away
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := executor.Task{
		Module: filepath.Join(dir, "module"),
		Stdout: filepath.Join(dir, "stdout"),
		Stderr: filepath.Join(dir, "stderr"),
		Limits: executor.Limits{Memory: 1 << 20, Wall: 30 * time.Second, Output: 1 << 10},
	}
	for path, content := range map[string][]byte{t.Module: selfTest, t.Stdout: nil, t.Stderr: nil} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	r, err := x.run(ctx, e, t)
	if err != nil {
		return err
	}
	return checkSelfTest(r, t.Stdout)
}

func checkSelfTest(r job.Result, stdout string) error {
	out, err := os.ReadFile(stdout)
	if err != nil {
		return err
	}
	if r.Exit != 42 || r.Error != "" || string(out) != "ok\n" {
		return fmt.Errorf("the test program ended with code %d and %q (%s), not with 42 and \"ok\"", r.Exit, out, r.Error)
	}
	return nil
}
