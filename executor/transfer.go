package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// bounded is ctx with the time that an attempt has for fetching, or publishing.
func bounded(ctx context.Context, spec job.Spec, doing string) (context.Context, context.CancelFunc) {
	most := max(time.Duration(spec.Timeout), minTransfer)
	return context.WithTimeoutCause(ctx, most,
		fmt.Errorf("%s took longer than %s, which is all that this attempt may spend on it; the peers it depends on are too slow, or its data is too much for this one", doing, most))
}

// why is err, or what ended ctx, if that is what err comes from.
func why(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// refused reports whether content is to blame for err. See Store.
func refused(err error) bool {
	var content interface{ Refused() bool }
	return errors.As(err, &content) && content.Refused()
}

// fetch brings the module and the inputs, and makes the outputs' folders.
func (r *Runner) fetch(ctx context.Context, a job.Attempt, spec job.Spec, dir string) (Task, error) {
	ctx, cancel := bounded(ctx, spec, "fetching")
	defer cancel()
	task := Task{
		Attempt: a,
		Module:  filepath.Join(dir, "module"),
		Args:    spec.Task.Args,
		Env:     spec.Task.Env,
		Limits:  Limits{Memory: spec.Resources.Memory, Wall: time.Duration(spec.Timeout), Output: maxLog},
		Stdout:  filepath.Join(dir, Stdout),
		Stderr:  filepath.Join(dir, Stderr),
	}
	if err := r.modules.get(ctx, spec.Task.WASM.Module, task.Module); err != nil {
		return Task{}, blame(ctx, "the module "+Text(spec.Task.WASM.Module, maxPart), err)
	}
	for i, in := range spec.Inputs {
		m, err := r.input(ctx, in, dir, i)
		if err != nil {
			return Task{}, err
		}
		task.Mounts = append(task.Mounts, m)
	}
	for i, out := range spec.Outputs {
		path := outputPath(dir, i, out.Name)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return Task{}, fmt.Errorf("making the folder for output %s: %w", out.Name, err)
		}
		task.Mounts = append(task.Mounts, Mount{Host: path, Guest: out.At, Write: true})
	}
	return task, nil
}

// blame says that what was not fetched, and whose fault that is.
func blame(ctx context.Context, what string, err error) error {
	if refused(err) {
		return fault(fmt.Sprintf("%s cannot be fetched: %s", what, err))
	}
	return fmt.Errorf("fetching %s: %w", what, why(ctx, err))
}

// input brings one input, or finds it in a folder that this node offers, and
// returns where it is.
func (r *Runner) input(ctx context.Context, in job.Input, dir string, i int) (Mount, error) {
	what := fmt.Sprintf("the input %s for %s", Text(in.From, maxPart), Text(in.At, maxPart))
	if _, _, err := job.ParseMount(in.From); err == nil {
		m, err := r.folders.find(in.From)
		if err != nil {
			return Mount{}, fmt.Errorf("mounting %s: %w", what, err)
		}
		m.Guest = in.At
		return m, nil
	}
	path := filepath.Join(dir, "inputs", strconv.Itoa(i))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return Mount{}, fmt.Errorf("making the folder for inputs: %w", err)
	}
	if err := r.store.Fetch(ctx, in.From, path); err != nil {
		return Mount{}, blame(ctx, what, err)
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return Mount{}, fmt.Errorf("looking at %s: %w", what, err)
	}
	// A link would lead wherever whoever made it wants.
	if !fi.IsDir() && !fi.Mode().IsRegular() {
		return Mount{}, fault(what + " is neither a file nor a folder")
	}
	return Mount{Host: path, Guest: in.At}, nil
}

// outputPath ends with the output's name, which is safe as a file's (see
// job.Spec.Validate).
func outputPath(dir string, i int, name string) string {
	return filepath.Join(dir, "outputs", strconv.Itoa(i), name)
}

// publish keeps the outputs, whatever code the program ended with.
func (r *Runner) publish(ctx context.Context, a job.Attempt, spec job.Spec, dir string, result job.Result) (job.Result, error) {
	ctx, cancel := bounded(ctx, spec, "publishing")
	defer cancel()
	for i, out := range spec.Outputs {
		path := outputPath(dir, i, out.Name)
		bad, err := unfit(ctx, path)
		if err != nil {
			return job.Result{}, fmt.Errorf("looking at output %s: %w", out.Name, why(ctx, err))
		}
		if bad == "" {
			var cid string
			var size int64
			if cid, size, err = r.store.Put(ctx, path, fmt.Sprintf("job %s/%s", a.Job, out.Name)); err == nil {
				result.Outputs = append(result.Outputs, job.Output{Name: out.Name, CID: cid, Size: job.Bytes(size)})
				continue
			}
			if !refused(err) {
				return job.Result{}, fmt.Errorf("publishing output %s: %w", out.Name, why(ctx, err))
			}
			// Where it lies on this disk is nobody's business.
			bad = strings.ReplaceAll(err.Error(), filepath.Dir(path)+"/", "")
		}
		result.Error = fmt.Sprintf("output %s cannot be published: %s", out.Name, bad)
		return result, nil
	}
	return result, nil
}
