package wasm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/executor/wasm/child"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// engine is how to start the children of one engine.
type engine struct {
	name     string   // with its version
	path     string   // the program to start
	env      []string // its whole environment
	artifact bool     // to run, it takes the compiled file and not the module
	identity string   // all that what it compiles depends on, but for the processor
}

// childFiles are a child's open files; nil is /dev/null.
type childFiles struct{ stdout, stderr, code *os.File }

func (f childFiles) close() {
	for _, file := range []*os.File{f.stdout, f.stderr, f.code} {
		if file != nil {
			file.Close()
		}
	}
}

// ending is how a child ended.
type ending struct {
	report   child.Report
	reported bool   // it ended by itself and said how
	said     string // what else it wrote: a crash
	state    *os.ProcessState
	usage    job.Usage
}

// died says how a child ended that did not report.
func (e ending) died() error {
	if e.said == "" {
		return fmt.Errorf("its process died (%s)", e.state)
	}
	return fmt.Errorf("its process died (%s), saying: %s", e.state, e.said)
}

const (
	maxReport = 256 << 10 // bounds what a child may say, in bytes
	maxSaid   = 500       // and what is kept of each text in that

	// grace is how long something of a child may go on talking once it was
	// killed: what it forked may not have been.
	grace = time.Second
)

// hear takes what a child said for what it is: the words of a process that a
// module may have taken over.
func (e *ending) hear(b []byte) {
	e.report, e.said, e.reported = child.ParseReport(b)
	for _, s := range []*string{&e.said, &e.report.Engine, &e.report.Bad, &e.report.Trap, &e.report.Failed} {
		*s = executor.Text(*s, maxSaid)
	}
	e.report.Memory = max(0, e.report.Memory)
}

// start runs a child to its end. Ending ctx kills it, and nothing of it is left
// when start returns, but for what escaped (see the package's comment).
func (e engine) start(ctx context.Context, t child.Task, files childFiles) (ending, error) {
	task, err := json.Marshal(t)
	if err != nil {
		return ending{}, err
	}
	// The child dies with the thread that started it, so this goroutine keeps
	// that thread for itself until the child has ended.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	r, w, err := os.Pipe()
	if err != nil {
		return ending{}, err
	}
	defer r.Close()
	null := files.stderr
	if null == nil {
		if null, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0); err != nil {
			w.Close()
			return ending{}, err
		}
		defer null.Close()
	}
	var end ending
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, e.path)
	cmd.Args = []string{childName}
	cmd.Env = e.env
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(task)
	if files.stdout != nil {
		cmd.Stdout = files.stdout
	}
	cmd.Stderr = w
	cmd.ExtraFiles = []*os.File{null, files.code}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = grace
	peak := make(chan int64, 1)
	cmd.Cancel = func() error {
		peak <- peakOf(cmd.Process.Pid)
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	began := time.Now()
	err = cmd.Start()
	w.Close()
	if err != nil {
		return ending{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now().Add(grace)) })
	said, _ := io.ReadAll(io.LimitReader(r, maxReport))
	stop()
	if len(said) == maxReport {
		cancel()
	}
	sweep(cmd.Process.Pid)
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && ctx.Err() == nil {
		return ending{}, err
	}
	end.state = cmd.ProcessState
	end.hear(said)
	if end.reported && end.report.Engine != e.name {
		return ending{}, fmt.Errorf("%s was started and %q answered", e.name, end.report.Engine)
	}
	end.usage = job.Usage{
		CPU:    end.state.UserTime() + end.state.SystemTime(),
		Wall:   time.Since(began),
		Memory: job.Bytes(end.report.Memory),
	}
	select {
	case n := <-peak:
		end.usage.Memory = max(end.usage.Memory, job.Bytes(n))
	default:
	}
	return end, nil
}

// sweep waits until a child has ended, without forgetting it, and kills what it
// may have started: as long as its process ID is not free, its process group is
// no other's.
func sweep(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL) // no such process: as it should be
}

// peakOf is the most memory that a process has had so far, in bytes.
func peakOf(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	return child.PeakMemory(b)
}
