package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Store is where inputs come from and outputs go to.
type Store interface {
	// Fetch writes the file or folder that ref (ipfs://CID[/path]) names to dst,
	// which is not there yet.
	Fetch(ctx context.Context, ref, dst string) error
	// Put keeps the file or folder at path. It refuses links and devices.
	Put(ctx context.Context, path string) (cid string, size int64, err error)
}

// What an attempt gets where its job does not say.
const (
	defaultMemory  = job.Bytes(256 << 20)
	defaultTimeout = time.Hour
	maxLog         = job.Bytes(16 << 20) // of stdout and of stderr, each
)

// Runner does the whole of attempts: fetch, run, publish. It keeps a folder for
// each below its own:
//
//	JOB.TASK.ATTEMPT/stdout, stderr    kept after the attempt, within bounds
//	JOB.TASK.ATTEMPT/module            gone after it, as all that follows
//	JOB.TASK.ATTEMPT/inputs/0, 1, …    in the order of the spec
//	JOB.TASK.ATTEMPT/outputs/0, 1, …
//	.modules/                          modules that were fetched lately
//
// It is safe for concurrent use.
type Runner struct {
	dir     string
	store   Store
	wasm    Executor
	modules *modules
	log     *zap.Logger

	mu   sync.Mutex
	live map[job.Attempt]bool
	kept keptLogs
}

// fault is an error that the job itself is to blame for.
type fault string

func (f fault) Error() string { return string(f) }

// exitBad is the code of a program that could not be started.
const exitBad = 126

// NewRunner makes a runner that works in dir, which is its own: what earlier
// runs left there is removed, except logs.
func NewRunner(dir string, store Store, wasm Executor, log *zap.Logger) (*Runner, error) {
	r := &Runner{dir: dir, store: store, wasm: wasm, log: log, live: map[job.Attempt]bool{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for attempts: %w", err)
	}
	if err := r.clear(); err != nil {
		return nil, fmt.Errorf("clearing what earlier attempts left: %w", err)
	}
	var err error
	if r.modules, err = newModules(filepath.Join(dir, modulesDir), store); err != nil {
		return nil, fmt.Errorf("making the folder for modules: %w", err)
	}
	return r, nil
}

// Run makes one attempt. It calls started once the attempt has its folder, from
// when on its logs can be read. An error means that this peer could not do it
// (another may); Result.Error that the job itself is to blame. Ending ctx ends
// the attempt with an error.
func (r *Runner) Run(ctx context.Context, a job.Attempt, spec job.Spec, started func()) (job.Result, error) {
	if spec.Task.WASM == nil {
		return job.Result{}, errors.New("this peer runs WebAssembly only, and the job has none")
	}
	dir, err := r.begin(a)
	if err != nil {
		return job.Result{}, err
	}
	defer r.end(a, dir)
	started()

	task, err := r.fetch(ctx, a, spec, dir)
	var own fault
	switch {
	case errors.As(err, &own):
		return job.Result{Exit: exitBad, Error: own.Error()}, nil
	case err != nil:
		return job.Result{}, err
	}
	result, err := r.wasm.Run(ctx, task)
	if err != nil || result.Error != "" {
		return result, err
	}
	return r.publish(ctx, spec, dir, result)
}

// begin makes the attempt's folder, with empty logs.
func (r *Runner) begin(a job.Attempt) (string, error) {
	dir, err := r.folder(a)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live[a] {
		return "", fmt.Errorf("attempt %s is already running here", a)
	}
	r.kept.forget(dir)
	if err := removeAll(dir); err != nil {
		return "", fmt.Errorf("clearing the folder of attempt %s: %w", a, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("making the folder of attempt %s: %w", a, err)
	}
	for _, name := range []string{Stdout, Stderr} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			return "", fmt.Errorf("making the log of attempt %s: %w", a, err)
		}
	}
	r.live[a] = true
	return dir, nil
}

// end removes all but the logs.
func (r *Runner) end(a job.Attempt, dir string) {
	if err := strip(dir); err != nil {
		r.log.Warn("removing what an attempt left", zap.Stringer("attempt", a), zap.Error(err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.live, a)
	if err := r.kept.add(dir); err != nil {
		r.log.Warn("removing an old log", zap.Error(err))
	}
}

// folder is where attempt a works. Its job's ID came from another peer.
func (r *Runner) folder(a job.Attempt) (string, error) {
	name := a.String()
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' {
			return "", fmt.Errorf("attempt %q has a name that is no job's", name)
		}
	}
	if a.Job == "" || name[0] == '.' || a.Task < 0 || a.Attempt < 0 {
		return "", fmt.Errorf("attempt %q has a name that is no job's", name)
	}
	return filepath.Join(r.dir, name), nil
}

// fetch brings the module and the inputs, and makes the outputs' folders.
func (r *Runner) fetch(ctx context.Context, a job.Attempt, spec job.Spec, dir string) (Task, error) {
	task := Task{
		Attempt: a,
		Module:  filepath.Join(dir, "module"),
		Args:    spec.Task.Args,
		Env:     spec.Task.Env,
		Limits:  limits(spec),
		Stdout:  filepath.Join(dir, Stdout),
		Stderr:  filepath.Join(dir, Stderr),
	}
	if err := r.modules.get(ctx, spec.Task.WASM.Module, task.Module); err != nil {
		return Task{}, fmt.Errorf("fetching the module %s: %w", spec.Task.WASM.Module, err)
	}
	if len(spec.Inputs) > 0 {
		if err := os.Mkdir(filepath.Join(dir, "inputs"), 0o700); err != nil {
			return Task{}, err
		}
	}
	for i, in := range spec.Inputs {
		path := filepath.Join(dir, "inputs", strconv.Itoa(i))
		if err := r.store.Fetch(ctx, in.From, path); err != nil {
			return Task{}, fmt.Errorf("fetching the input %s for %s: %w", in.From, in.At, err)
		}
		// A link would lead wherever whoever made it wants.
		if fi, err := os.Lstat(path); err != nil {
			return Task{}, fmt.Errorf("looking at the input for %s: %w", in.At, err)
		} else if !fi.IsDir() && !fi.Mode().IsRegular() {
			return Task{}, fault(fmt.Sprintf("the input %s for %s is neither a file nor a folder", in.From, in.At))
		}
		task.Mounts = append(task.Mounts, Mount{Host: path, Guest: in.At})
	}
	for i, out := range spec.Outputs {
		path := outputPath(dir, i)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return Task{}, fmt.Errorf("making the folder for output %s: %w", out.Name, err)
		}
		task.Mounts = append(task.Mounts, Mount{Host: path, Guest: out.At, Write: true})
	}
	return task, nil
}

func outputPath(dir string, i int) string { return filepath.Join(dir, "outputs", strconv.Itoa(i)) }

func limits(spec job.Spec) Limits {
	l := Limits{Memory: spec.Resources.Memory, Wall: time.Duration(spec.Timeout), Output: maxLog}
	if l.Memory <= 0 {
		l.Memory = defaultMemory
	}
	if l.Wall <= 0 {
		l.Wall = defaultTimeout
	}
	return l
}

// publish keeps the outputs, whatever code the program ended with.
func (r *Runner) publish(ctx context.Context, spec job.Spec, dir string, result job.Result) (job.Result, error) {
	for i, out := range spec.Outputs {
		path := outputPath(dir, i)
		if odd, err := oddFile(path); err != nil {
			return job.Result{}, fmt.Errorf("looking at output %s: %w", out.Name, err)
		} else if odd != "" {
			result.Error = fmt.Sprintf("output %s cannot be published: %s is neither a file nor a folder (links are not published)", out.Name, odd)
			return result, nil
		}
		cid, size, err := r.store.Put(ctx, path)
		if err != nil {
			return job.Result{}, fmt.Errorf("publishing output %s: %w", out.Name, err)
		}
		result.Outputs = append(result.Outputs, job.Output{Name: out.Name, CID: cid, Size: job.Bytes(size)})
	}
	return result, nil
}
