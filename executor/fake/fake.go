// Package fake is an Executor without programs: it does itself what a task's
// arguments say, whatever its module is. Clusters are tested with it where what
// runs is not the point.
//
// Arguments are commands, done in order; the program that conformance tests run
// in real executors (executortest/testdata/probe) knows the same ones:
//
//	print=TEXT eprint=TEXT   a line on stdout, on stderr
//	args env=NAME            all arguments, one of the environment
//	read=PATH                a file of a mount, to stdout
//	write=PATH:TEXT          a file of a mount, made anew
//	list=PATH                a folder of a mount, one name a line
//	spam=N                   N bytes to stdout
//	sleep=DURATION           wait
//	hang spin                wait for ever
//	exit=CODE                end with a code
//
// It has one more, fail, after which the machine is to blame: Run returns an
// error.
package fake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/executor/wasm/wasi"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Executor does what tasks say. The zero value is ready.
type Executor struct {
	// FailEvery makes every nth run fail as if this machine were broken; 0 is
	// never.
	FailEvery int64

	runs atomic.Int64
}

// Runs is how many runs have begun.
func (x *Executor) Runs() int64 { return x.runs.Load() }

var (
	errBroken = errors.New("fake: this machine is broken, as it was told to be")
	errWall   = errors.New("wall time is over")
)

// Run does what t.Args say. See executor.Executor.
func (x *Executor) Run(ctx context.Context, t executor.Task) (job.Result, error) {
	if n := x.runs.Add(1); x.FailEvery > 0 && n%x.FailEvery == 0 {
		return job.Result{}, errBroken
	}
	p, err := begin(t)
	if err != nil {
		return job.Result{}, err
	}
	defer p.close()
	run := ctx
	if t.Limits.Wall > 0 {
		var cancel context.CancelFunc
		run, cancel = context.WithTimeoutCause(ctx, t.Limits.Wall, errWall)
		defer cancel()
	}
	began := time.Now()
	r := job.Result{}
	err = p.program(run)
	var code exit
	switch {
	case errors.As(err, &code):
		r.Exit = int(code)
	case ctx.Err() != nil:
		return job.Result{}, context.Cause(ctx)
	case errors.Is(err, errWall):
		r.Exit, r.Error = 137, fmt.Sprintf("the program was ended at its time-out of %s", t.Limits.Wall)
	case errors.Is(err, errBroken):
		return job.Result{}, err
	case err != nil:
		fmt.Fprintln(p.stderr, err)
		r.Exit = 1
	}
	r.Usage.Wall = time.Since(began)
	return r, nil
}

// exit is the error that ends a program with a code.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// process is a run.
type process struct {
	task           executor.Task
	out, err       *os.File
	stdout, stderr *wasi.Stream
}

func begin(t executor.Task) (*process, error) {
	p := &process{task: t}
	var err error
	if p.out, err = os.OpenFile(t.Stdout, os.O_WRONLY|os.O_APPEND, 0); err != nil {
		return nil, err
	}
	if p.err, err = os.OpenFile(t.Stderr, os.O_WRONLY|os.O_APPEND, 0); err != nil {
		p.out.Close()
		return nil, err
	}
	p.stdout = wasi.NewStream(p.out, "stdout", int64(t.Limits.Output))
	p.stderr = wasi.NewStream(p.err, "stderr", int64(t.Limits.Output))
	return p, nil
}

func (p *process) close() {
	p.out.Close()
	p.err.Close()
}

func (p *process) program(ctx context.Context) error {
	for _, arg := range p.task.Args {
		verb, value, _ := strings.Cut(arg, "=")
		if err := p.do(ctx, verb, value); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

func (p *process) do(ctx context.Context, verb, value string) error {
	switch verb {
	case "print":
		fmt.Fprintln(p.stdout, value)
	case "eprint":
		fmt.Fprintln(p.stderr, value)
	case "args":
		fmt.Fprintf(p.stdout, "%q\n", p.task.Args)
	case "env":
		fmt.Fprintf(p.stdout, "%s=%s of %d\n", value, p.task.Env[value], len(p.task.Env))
	case "exit":
		code, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		return exit(code)
	case "fail":
		return errBroken
	case "sleep":
		d, err := time.ParseDuration(value)
		if err != nil {
			return err
		}
		return wait(ctx, time.After(d))
	case "hang", "spin":
		return wait(ctx, nil)
	case "spam":
		return p.spam(value)
	default:
		return p.files(verb, value)
	}
	return nil
}

func wait(ctx context.Context, done <-chan time.Time) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *process) spam(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil {
		return err
	}
	_, err = p.stdout.Write(bytes.Repeat([]byte("x"), n))
	return err
}

func (p *process) files(verb, value string) error {
	guest, text, _ := strings.Cut(value, ":")
	host, write, err := p.find(guest)
	if err != nil {
		return err
	}
	switch verb {
	case "read":
		b, err := os.ReadFile(host)
		if err != nil {
			return err
		}
		_, err = p.stdout.Write(b)
		return err
	case "list":
		list, err := os.ReadDir(host)
		for _, d := range list {
			fmt.Fprintln(p.stdout, d.Name())
		}
		return err
	case "write":
		if !write {
			return fmt.Errorf("open %s: read-only file system", guest)
		}
		return os.WriteFile(host, []byte(text), 0o666)
	}
	return fmt.Errorf("unknown command %q", verb)
}

// find is the file of this machine that the program sees at guest.
func (p *process) find(guest string) (host string, write bool, err error) {
	for _, m := range p.task.Mounts {
		rest, ok := strings.CutPrefix(filepath.Clean(guest), m.Guest)
		if ok && (rest == "" || rest[0] == '/') {
			return filepath.Join(m.Host, m.Sub, rest), m.Write, nil
		}
	}
	return "", false, fmt.Errorf("open %s: no such file or directory", guest)
}
