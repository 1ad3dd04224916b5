package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/executor/wasm"
	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Submitters of a burst, as many as a script with xargs -P would have.
const submitters = 8

// jobs measures jobs on a swarm of three, and the same program run by the
// executor alone, in turns.
func (b *bench) jobs(ctx context.Context, r *report) error {
	_, nodes, err := b.swarm(ctx, 2)
	if err != nil {
		return err
	}
	client := nodes[0].client
	spec, err := b.spec(ctx, client)
	if err != nil {
		return err
	}
	bare, err := b.newBare(ctx)
	if err != nil {
		return err
	}
	// Every peer and the bare runner have compiled the program before it counts.
	if _, err := b.burstOf(ctx, client, spec, 10*len(nodes)); err != nil {
		return err
	}
	if _, err := bare.run(ctx); err != nil {
		return err
	}

	var whole, alone sample
	var phases [3]sample
	for range b.runs {
		begin := time.Now()
		j, acknowledged, err := runJob(ctx, client, spec)
		if err != nil {
			return err
		}
		whole = append(whole, time.Since(begin))
		phases[0] = append(phases[0], acknowledged.Sub(begin))
		elsewhere, program := partsOf(j)
		phases[1] = append(phases[1], elsewhere)
		phases[2] = append(phases[2], program)
		d, err := bare.run(ctx)
		if err != nil {
			return err
		}
		alone = append(alone, d)
	}
	r.beside("submit → completed, tiny C guest, warm, three nodes, median / p90", whole.String(), alone.String()+" (bare runner, "+bare.executor.Engine()+")",
		float64(whole.median())/float64(alone.median()))
	for i, what := range []string{"submit → acknowledged, on disk", "awarded → finished, by the owner's clock", "of which the program and its process"} {
		r.add("— "+what+", median / p90", phases[i].String())
	}

	if err := b.manyJobs(ctx, r, client, spec, bare); err != nil {
		return err
	}
	for i, p := range nodes {
		if err := addMemory(r, fmt.Sprintf("RSS of node %d of 3 after these jobs", i+1), p); err != nil {
			return err
		}
	}
	return nil
}

// manyJobs measures many jobs in one go, beside as many bare runs with one per core.
func (b *bench) manyJobs(ctx context.Context, r *report, client *api.Client, spec job.Spec, bare *bare) error {
	begin := time.Now()
	failed, err := b.burstOf(ctx, client, spec, b.burst)
	if err != nil {
		return err
	}
	rate := float64(b.burst) / time.Since(begin).Seconds()

	begin = time.Now()
	if err := each(runtime.NumCPU(), b.burst, func(int) error { _, err := bare.run(ctx); return err }); err != nil {
		return err
	}
	floor := float64(b.burst) / time.Since(begin).Seconds()
	r.beside(fmt.Sprintf("burst of %d jobs, %d submitters, %d failed", b.burst, submitters, failed),
		fmt.Sprintf("%.0f jobs/s", rate), fmt.Sprintf("%.0f runs/s (bare runner, one per core)", floor), rate/floor)
	return nil
}

// burstOf runs n jobs, submitters at a time, and counts those that failed.
func (b *bench) burstOf(ctx context.Context, client *api.Client, spec job.Spec, n int) (failed int, err error) {
	var mu sync.Mutex
	var reasons error
	err = each(submitters, n, func(int) error {
		_, _, err := runJob(ctx, client, spec)
		if err != nil && ctx.Err() == nil {
			mu.Lock()
			failed++
			reasons = errors.Join(reasons, err)
			mu.Unlock()
			return nil
		}
		return err
	})
	if failed == n {
		return failed, fmt.Errorf("every job failed: %w", reasons)
	}
	return failed, err
}

// each calls do for 0 to n-1, at most side calls at a time.
func each(side, n int, do func(i int) error) error {
	next := make(chan int)
	errs := make(chan error, side)
	for range side {
		go func() {
			var err error
			for i := range next {
				if e := do(i); e != nil && err == nil {
					err = e
				}
			}
			errs <- err
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	var err error
	for range side {
		err = errors.Join(err, <-errs)
	}
	return err
}

// spec adds the program to the swarm and is the job that runs it.
func (b *bench) spec(ctx context.Context, client *api.Client) (job.Spec, error) {
	program, err := os.ReadFile(b.module)
	if err != nil {
		return job.Spec{}, err
	}
	var archive bytes.Buffer
	t := tar.NewWriter(&archive)
	err = t.WriteHeader(&tar.Header{Name: filepath.Base(b.module), Mode: 0o644, Size: int64(len(program))})
	if err == nil {
		_, err = t.Write(program)
	}
	if err := errors.Join(err, t.Close()); err != nil {
		return job.Spec{}, fmt.Errorf("archive %s: %w", b.module, err)
	}
	added, err := client.Add(ctx, &archive, "")
	if err != nil {
		return job.Spec{}, err
	}
	return job.Spec{
		Name:      "tiny",
		Task:      job.Task{WASM: &job.WASM{Module: "ipfs://" + added.CID}, Args: []string{"bench"}},
		Resources: job.Resources{CPU: 100, Memory: 16 << 20},
	}, nil
}

// runJob submits a job and waits until it is completed. acknowledged is when its
// ID was there, and with it the promise that the job is not lost.
func runJob(ctx context.Context, client *api.Client, spec job.Spec) (last job.Job, acknowledged time.Time, err error) {
	receipt, err := client.Submit(ctx, api.Submission{Spec: spec, Nonce: rand.Text()})
	acknowledged = time.Now()
	if err != nil {
		return last, acknowledged, fmt.Errorf("submit: %w", err)
	}
	err = client.Watch(ctx, string(receipt.ID), func(j job.Job) error { last = j; return nil })
	if err != nil {
		return last, acknowledged, fmt.Errorf("watch %s: %w", receipt.ID, err)
	}
	if last.State() != job.Done {
		return last, acknowledged, fmt.Errorf("job %s: %s: %s", receipt.ID, last.State(), last.Reason)
	}
	return last, acknowledged, nil
}

// partsOf is how long a job was with its executor, by the owner's clock, from
// its last award to its end, and what of that was the program and its process.
func partsOf(j job.Job) (elsewhere, program time.Duration) {
	at := map[job.Kind]time.Time{}
	for _, e := range j.History {
		at[e.Kind] = e.At
	}
	if r := j.Tasks[0].Result; r != nil {
		program = r.Usage.Wall
	}
	return at[job.Finished].Sub(at[job.AwardedTo]), program
}

// bare is the executor without a node around it.
type bare struct {
	executor *wasm.Executor
	task     executor.Task
	dir      string
}

func (b *bench) newBare(ctx context.Context) (*bare, error) {
	e, err := wasm.New(wasm.Config{Dir: filepath.Join(b.dir, "bare")}, zap.NewNop())
	if err != nil {
		return nil, err
	}
	if err := e.SelfTest(ctx); err != nil { // which engine runs is settled by this
		return nil, err
	}
	module, err := filepath.Abs(b.module)
	if err != nil {
		return nil, err
	}
	return &bare{executor: e, dir: b.dir, task: executor.Task{
		Module: module,
		Args:   []string{"bench"},
		Limits: executor.Limits{Memory: 16 << 20, Wall: time.Minute, Output: 1 << 20},
	}}, nil
}

// run runs the program once and returns how long that took.
func (b *bare) run(ctx context.Context) (time.Duration, error) {
	t := b.task
	for _, name := range []*string{&t.Stdout, &t.Stderr} {
		f, err := os.CreateTemp(b.dir, "out")
		if err != nil {
			return 0, err
		}
		f.Close()
		defer os.Remove(f.Name())
		*name = f.Name()
	}
	begin := time.Now()
	result, err := b.executor.Run(ctx, t)
	if err == nil && !result.OK() {
		err = fmt.Errorf("exit %d: %s", result.Exit, result.Error)
	}
	return time.Since(begin), err
}
