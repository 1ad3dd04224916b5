package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Store is where inputs come from and outputs go to. Where content is to blame
// for an error, and would be at every other peer, the error has a method
// Refused() bool that returns true.
type Store interface {
	// Fetch writes the file or folder that ref (ipfs://CID[/path]) names to dst,
	// which is not there yet.
	Fetch(ctx context.Context, ref, dst string) error
	// Put keeps the file or folder at path, under a name that tells people why. It
	// refuses links and devices.
	Put(ctx context.Context, path, name string) (cid string, size int64, err error)
}

// maxLog bounds stdout and stderr, each.
const maxLog = job.Bytes(16 << 20)

// minTransfer is the least time that an attempt gets for fetching all that it
// needs, and again for publishing; one with a longer time-out gets that.
const minTransfer = 10 * time.Minute

// Runner does the whole of attempts: fetch, run, publish. It keeps a folder for
// each below its own, apart for each owner: the names of jobs come from other
// peers, and none of them may reach what belongs to another's.
//
//	OWNER/JOB.TASK.ATTEMPT/stdout, stderr         kept after it, within bounds
//	OWNER/JOB.TASK.ATTEMPT/module                 gone after it, as all that follows
//	OWNER/JOB.TASK.ATTEMPT/inputs/0, 1, …         in the order of the spec
//	OWNER/JOB.TASK.ATTEMPT/outputs/0/NAME, …
//	.modules/                                     modules that were fetched lately
//
// It is safe for concurrent use.
type Runner struct {
	dir     string
	store   Store
	wasm    Executor
	folders Folders
	modules *modules
	log     *zap.Logger

	mu   sync.Mutex
	live map[string]bool // by folder
	kept keptLogs
}

// fault is an error that the job itself is to blame for.
type fault string

func (f fault) Error() string { return string(f) }

// exitBad is the code of a program that could not be started.
const exitBad = 126

// Offer lets jobs read folders of this machine in place. It comes before the
// first Run.
func (r *Runner) Offer(f Folders) { r.folders = f }

// NewRunner makes a runner that works in dir, which is its own: what earlier
// runs left there is removed, except logs.
func NewRunner(dir string, store Store, wasm Executor, log *zap.Logger) (*Runner, error) {
	r := &Runner{dir: dir, store: store, wasm: wasm, log: log, live: map[string]bool{}}
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

// Run makes one attempt for owner, the peer that leads the job. It calls started
// once the attempt has its folder, from when on its logs can be read. An error
// means that this peer could not do it (another may), or that owner asked for
// what no spec or name may be, and then nothing was touched; Result.Error that
// the job itself is to blame. Both are texts as Text makes them. Ending ctx ends
// the attempt with an error.
//
// The program has the spec's time-out of wall time. Fetching the module and the
// inputs, and publishing the outputs, have as long each, and at least
// minTransfer: a peer that gives bytes ever so slowly cannot hold the attempt's
// room for ever.
func (r *Runner) Run(ctx context.Context, owner job.PeerID, a job.Attempt, spec job.Spec, started func()) (job.Result, error) {
	result, err := r.run(ctx, owner, a, spec, started)
	result.Error = Text(result.Error, maxError)
	if err != nil {
		err = textError{err}
	}
	return result, err
}

func (r *Runner) run(ctx context.Context, owner job.PeerID, a job.Attempt, spec job.Spec, started func()) (job.Result, error) {
	if err := check(spec); err != nil {
		return job.Result{}, err
	}
	spec = spec.WithDefaults()
	dir, err := r.begin(owner, a)
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
	if gone := r.folders.checkAll(spec); gone != nil {
		return job.Result{}, fmt.Errorf("what the program read may not have been what it was to read: %w", gone)
	}
	if err != nil || result.Error != "" {
		return result, err
	}
	return r.publish(ctx, a, spec, dir, result)
}

// check refuses a spec that no honest owner would hand out.
func check(spec job.Spec) error {
	if spec.Task.WASM == nil {
		return errors.New("this peer runs WebAssembly only, and the job has none")
	}
	if err := errors.Join(spec.Validate(), spec.Resolved()); err != nil {
		return fmt.Errorf("the job is not valid, and its owner should not have handed it out: %w", err)
	}
	return nil
}

// begin makes the attempt's folder, with empty logs.
func (r *Runner) begin(owner job.PeerID, a job.Attempt) (string, error) {
	dir, err := r.folder(owner, a)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live[dir] {
		return "", fmt.Errorf("attempt %s is already running here", a)
	}
	r.kept.forget(dir)
	if err := RemoveAll(dir); err != nil {
		return "", fmt.Errorf("clearing the folder of attempt %s: %w", a, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making the folder of attempt %s: %w", a, err)
	}
	for _, name := range []string{Stdout, Stderr} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			return "", fmt.Errorf("making the log of attempt %s: %w", a, err)
		}
	}
	r.live[dir] = true
	return dir, nil
}

// Running is how many attempts are under way.
func (r *Runner) Running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.live)
}

// end removes all but the logs.
func (r *Runner) end(a job.Attempt, dir string) {
	if err := strip(dir); err != nil {
		r.log.Warn("removing what an attempt left", zap.Stringer("attempt", a), zap.Error(textError{err}))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.live, dir)
	if err := r.kept.add(dir); err != nil {
		r.log.Warn("removing an old log", zap.Error(textError{err}))
	}
}

// clear removes what earlier runs left, but for the logs of their attempts.
func (r *Runner) clear() error {
	list, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	for _, d := range list {
		path := filepath.Join(r.dir, d.Name())
		if !d.IsDir() || !isOwner(d.Name()) {
			err = errors.Join(err, RemoveAll(path))
			continue
		}
		attempts, e := os.ReadDir(path)
		err = errors.Join(err, e)
		for _, d := range attempts {
			if path := filepath.Join(path, d.Name()); d.IsDir() && isAttempt(d.Name()) {
				err = errors.Join(err, strip(path))
			} else {
				err = errors.Join(err, RemoveAll(path))
			}
		}
		_ = os.Remove(path) // unless it holds logs
	}
	return errors.Join(err, r.kept.load(r.dir))
}

// folder is where attempt a for owner works. Both names came from another peer.
func (r *Runner) folder(owner job.PeerID, a job.Attempt) (string, error) {
	if !isOwner(string(owner)) {
		return "", fmt.Errorf("%s is no peer's ID", quote(string(owner)))
	}
	if name := a.String(); !isAttempt(name) {
		return "", fmt.Errorf("attempt %s has a name that is no job's", quote(name))
	}
	return filepath.Join(r.dir, string(owner), a.String()), nil
}

const (
	digits  = "0123456789"
	letters = "abcdefghijklmnopqrstuvwxyz"
)

// isOwner tells whether a name may be the ID of a peer.
func isOwner(name string) bool {
	return name != "" && len(name) <= 128 && strings.Trim(name, digits+letters+strings.ToUpper(letters)) == ""
}

// isAttempt tells whether a name may be that of an attempt: JOB.TASK.ATTEMPT.
func isAttempt(name string) bool {
	id, rest, _ := strings.Cut(name, ".")
	task, attempt, _ := strings.Cut(rest, ".")
	return len(name) <= 128 && id != "" && task != "" && attempt != "" &&
		strings.Trim(id, letters+digits) == "" && strings.Trim(task+attempt, digits) == ""
}
