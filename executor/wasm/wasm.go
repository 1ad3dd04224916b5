// Package wasm runs WebAssembly programs (WASI preview 1). Its Executor is the
// parent's side; every program runs in a child process of its own (package
// child), in one of two engines that see the same system (package wasi):
//
//   - Wasmer, where the binary carries its runner (build tag embedrunner): the
//     runner and Wasmer's library are unpacked to Config.Dir/bin at start.
//   - wazero otherwise: the running binary starts itself again as the child,
//     for which its main, or TestMain, must call MaybeChild before anything
//     else.
//
// A module is compiled once, in a child of its own that sees no file but the
// module; what came of it is copied to Config.Dir/cache, which is written and
// checked by this package alone. Concurrent runs of a new module share one
// compilation.
//
// # Limits
//
// A program's memory is bounded exactly, by the maximum that is written into its
// module; limits are rounded up to classes (see pagesFor) so that one compiled
// form serves many jobs. Wall time is bounded by killing the process group. What
// a program writes to stdout or stderr beyond the limit is dropped, with a last
// line that says so, and the program goes on. What it writes to its outputs has
// no quota yet.
//
// # What confines a program
//
// The WASI, which shows nothing but the mounts; around it, in the child,
// no_new_privs, resource limits, and Landlock where the kernel has it: then not
// even a broken engine reaches another file, a TCP port, or, on kernels of
// 2025, a process outside. What a child says is taken for text, bounded, and
// what it leaves on disk for hostile.
//
// The child keeps the node's user and can make system calls that have nothing to
// do with files. One that was taken over can fork, and leave its process group,
// and then outlive its run, confined as it is: there is no bound on processes,
// since RLIMIT_NPROC counts those of the user, the node's among them, and does
// not bind root. It cannot hold up the run, though, nor change the code that
// others run.
package wasm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/executor/wasm/child"
	"github.com/shoal-mesh/shoal/executor/wasm/wasi"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Exit codes of programs that did not end by themselves.
const (
	ExitBadModule = 126 // the module cannot run
	ExitTrap      = 134 // the program did what WebAssembly forbids
	ExitKilled    = 137 // a limit was reached
)

// programName is a program's first argument: how its file was called does not
// survive the way through IPFS.
const programName = "module.wasm"

// Config says where an Executor keeps things and what it runs modules with.
type Config struct {
	Dir string // folder of the node; bin/ and cache/wasm/ below it are used
	// Runner is a folder with wasm-runner and libwasmer.so, as build-runner.sh
	// makes it, to use instead of the embedded one.
	Runner string
	// Wazero uses wazero even where there is a runner.
	Wazero bool
	// CacheSize bounds the compiled code that is kept, in bytes. Default 1 GiB.
	CacheSize int64
}

// Executor runs WebAssembly programs. It is safe for concurrent use.
type Executor struct {
	cfg   Config
	log   *zap.Logger
	cache *cache

	mu     sync.Mutex
	engine engine
}

// New prepares the engine: it unpacks and checks the embedded runner, if there
// is one. It starts no process; call SelfTest before relying on it.
func New(cfg Config, log *zap.Logger) (*Executor, error) {
	if cfg.CacheSize == 0 {
		cfg.CacheSize = 1 << 30
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("preparing to run WebAssembly: %w", err)
	}
	cfg.Dir = dir
	x := &Executor{cfg: cfg, log: log}
	if x.engine, err = choose(cfg); err != nil {
		return nil, fmt.Errorf("preparing Wasmer: %w", err)
	}
	if x.cache, err = openCache(filepath.Join(dir, "cache", "wasm"), cfg.CacheSize, log); err != nil {
		return nil, fmt.Errorf("opening the cache of compiled modules: %w", err)
	}
	return x, nil
}

// choose is Wasmer where there is a runner, else wazero.
func choose(cfg Config) (engine, error) {
	switch {
	case cfg.Wazero:
		return wazero(), nil
	case cfg.Runner != "":
		return wasmer(cfg.Runner)
	case embedded:
		dir, err := unpack(embeddedFiles, filepath.Join(cfg.Dir, "bin"))
		if err != nil {
			return engine{}, err
		}
		return wasmer(dir)
	}
	return wazero(), nil
}

// Engine says what modules run in, with its version: "wasmer 2.0.0".
func (x *Executor) Engine() string { return x.current().name }

func (x *Executor) current() engine {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.engine
}

var errWall = errors.New("wall time is over")

// Run runs the module to its end. See executor.Executor.
func (x *Executor) Run(ctx context.Context, t executor.Task) (job.Result, error) {
	return x.run(ctx, x.current(), t)
}

func (x *Executor) run(ctx context.Context, e engine, t executor.Task) (job.Result, error) {
	pages := pagesFor(t.Limits.Memory)
	code, err := x.compiled(ctx, e, t.Module, pages)
	var bad child.BadModule
	switch {
	case errors.As(err, &bad):
		return job.Result{Exit: ExitBadModule, Error: bad.Reason}, nil
	case err != nil:
		return job.Result{}, fmt.Errorf("compiling the module: %w", err)
	}
	defer x.cache.release(code)

	files, err := openFiles(t, e, code)
	if err != nil {
		return job.Result{}, err
	}
	defer files.close()
	task := child.Task{
		Op:     child.OpRun,
		Pages:  pages,
		Dir:    code.code(),
		Args:   append([]string{programName}, t.Args...),
		Env:    environment(t.Env),
		Output: int64(t.Limits.Output),
		Data:   uint64(pages)*pageSize + overhead,
		CPU:    cpuSeconds(t.Limits.Wall),
	}
	for _, m := range t.Mounts {
		task.Mounts = append(task.Mounts, wasi.Mount(m))
	}
	run := ctx
	if t.Limits.Wall > 0 {
		var cancel context.CancelFunc
		run, cancel = context.WithTimeoutCause(ctx, t.Limits.Wall, errWall)
		defer cancel()
	}
	end, err := e.start(run, task, files)
	if ctx.Err() != nil && (err != nil || !end.reported) {
		return job.Result{}, fmt.Errorf("running the module: %w", context.Cause(ctx))
	}
	if err != nil {
		return job.Result{}, fmt.Errorf("running the module: %w", err)
	}
	return result(end, t.Limits, context.Cause(run))
}

// result says in a job's terms how a child ended.
func result(end ending, l executor.Limits, cause error) (job.Result, error) {
	r := job.Result{Exit: end.report.Exit, Usage: end.usage}
	switch {
	case end.report.Failed != "":
		return job.Result{}, fmt.Errorf("running the module: %s", end.report.Failed)
	case end.report.Bad != "":
		r.Exit, r.Error = ExitBadModule, end.report.Bad
	case end.report.Trap != "":
		r.Exit, r.Error = ExitTrap, "the program was stopped by a trap: "+end.report.Trap
	case end.reported:
	case errors.Is(cause, errWall):
		r.Exit, r.Error = ExitKilled, fmt.Sprintf("the program was ended at its time-out of %s; raise timeout if it needs longer", l.Wall)
	case l.Wall > 0 && end.usage.CPU >= time.Duration(cpuSeconds(l.Wall))*time.Second:
		r.Exit, r.Error = ExitKilled, fmt.Sprintf("the program was ended after %s of processor time", end.usage.CPU.Round(time.Second))
	default:
		return job.Result{}, fmt.Errorf("running the module: %w", end.died())
	}
	return r, nil
}

// cpuSeconds stands behind the wall time, for a child that cannot be killed in
// time; twice as much, for the engine's own threads.
func cpuSeconds(wall time.Duration) uint64 {
	if wall <= 0 {
		return 0
	}
	return 2*uint64(wall/time.Second) + 10
}

// environment is a job's environment in a fixed order.
func environment(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}

// openFiles opens what the child gets besides its task.
func openFiles(t executor.Task, e engine, code *compiled) (f childFiles, err error) {
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	path := code.file
	if !e.artifact {
		path = t.Module
	}
	if f.code, err = os.Open(path); err != nil {
		return f, fmt.Errorf("opening the program's code: %w", err)
	}
	if f.stdout, err = os.OpenFile(t.Stdout, os.O_WRONLY|os.O_APPEND, 0); err != nil {
		return f, fmt.Errorf("opening the file for stdout: %w", err)
	}
	if f.stderr, err = os.OpenFile(t.Stderr, os.O_WRONLY|os.O_APPEND, 0); err != nil {
		return f, fmt.Errorf("opening the file for stderr: %w", err)
	}
	return f, nil
}
