//go:build lab

package lab

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that takes milliseconds on a machine
// that has nothing else to do.
const patience = 2 * time.Minute

// process is a command line that runs at a host until it ends or is ended.
type process struct {
	*host
	line string
	cmd  *exec.Cmd
	out  text          // stdout
	log  text          // stderr
	done chan struct{} // closed when it has ended
}

// text is what a process has written so far.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *text) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// command is a line as it is typed at the host, where `node` and `ipfs` are on the
// PATH and have homes of their own. Bash becomes a simple command that it is given,
// so that the process that is started is the one that the line names.
func (h *host) command(line string) *exec.Cmd {
	c := exec.Command("ip", "netns", "exec", h.netns, "bash", "-c", line)
	c.Dir = h.dir
	c.Env = []string{
		"PATH=" + binDir() + ":" + kuboDir() + ":" + os.Getenv("PATH"), "HOME=" + h.dir, "LC_ALL=C.UTF-8",
		"SHOAL_HOME=" + h.home(), "IPFS_PATH=" + filepath.Join(h.dir, "ipfs"),
	}
	// Its own group, so that Ctrl-C reaches this test alone, which then ends all in
	// order; and none outlives a test that is killed.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return c
}

func (h *host) home() string { return filepath.Join(h.dir, "home") }

// binDir is where make puts node, and this package ipfs.
func binDir() string {
	dir, err := filepath.Abs("../../bin")
	if err != nil {
		panic(err)
	}
	return dir
}

// start starts a line. It is ended with the test, and shown if that has failed.
func (h *host) start(line string) *process {
	h.Helper()
	p := &process{host: h, line: line, cmd: h.command(line), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.log
	began := make(chan error, 1)
	go func() {
		// Pdeathsig comes when the thread that started the command ends: this
		// goroutine keeps it until the command is over.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := p.cmd.Start()
		began <- err
		if err == nil {
			_ = p.cmd.Wait()
		}
	}()
	if err := <-began; err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		p.stop()
		if h.Failed() {
			h.Logf("%s$ %s\n%s%s", h.name, line, tail(p.out.String()), tail(p.log.String()))
		}
	})
	return p
}

// tail is the end of a text, which says what went wrong last.
func tail(s string) string {
	lines := strings.SplitAfter(s, "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "")
}

// stop ends a process as an operator does, and waits until it is gone.
func (p *process) stop() {
	p.Helper()
	if p.ended() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.kill()
		p.Errorf("%s at %s did not stop within 30 s of SIGTERM, and was killed", p.line, p.name)
	}
}

// kill ends a process without a warning.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// says waits until the process has written one of the words, to stdout or stderr.
func (p *process) says(words ...string) {
	p.Helper()
	p.until("it says "+strings.Join(words, ", or "), func(context.Context) bool {
		return slices.ContainsFunc(words, func(w string) bool {
			return strings.Contains(p.out.String(), w) || strings.Contains(p.log.String(), w)
		})
	})
}

// until waits until something about the process is so.
func (p *process) until(what string, is func(context.Context) bool) {
	p.Helper()
	until(p, p.name+": "+p.line+": "+what, func(ctx context.Context) bool {
		// In this order: what it said last, it said before it ended.
		ended := p.ended()
		if is(ctx) {
			return true
		}
		if ended {
			p.Fatalf("%s$ %s: it ended (%v) before this was so: %s\n%s%s", p.name, p.line, p.cmd.ProcessState, what, tail(p.out.String()), tail(p.log.String()))
		}
		return false
	})
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// until looks every 50 ms whether something is so.
func until(t testing.TB, what string, is func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(interrupted, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is(ctx) {
		select {
		case <-tick.C: // other processes are looked at from outside; there is nothing to wait on
		case <-ctx.Done():
			t.Fatalf("waited in vain (%v): %s", ctx.Err(), what)
		}
	}
}

// result is what came of a command.
type result struct {
	out, err string
	code     int
}

// run runs a line to its end.
func (h *host) run(line string) result {
	h.Helper()
	p := h.start(line)
	select {
	case <-p.done:
	case <-time.After(patience):
		h.Fatalf("%s$ %s does not end:\n%s%s", h.name, line, tail(p.out.String()), tail(p.log.String()))
	case <-interrupted.Done():
		h.Fatal("interrupted")
	}
	return result{p.out.String(), p.log.String(), p.cmd.ProcessState.ExitCode()}
}

// sh runs a line that must succeed and returns what it printed.
func (h *host) sh(line string) string {
	h.Helper()
	r := h.run(line)
	if r.code != 0 {
		h.Fatalf("%s$ %s: exit %d\n%s%s", h.name, line, r.code, r.out, r.err)
	}
	return r.out
}

// prints runs a line that must succeed and print all the words.
func (h *host) prints(line string, words ...string) {
	h.Helper()
	out := h.sh(line)
	for _, w := range words {
		if !strings.Contains(out, w) {
			h.Errorf("%s$ %s does not print %q but:\n%s", h.name, line, w, out)
		}
	}
}

// fails runs a line that must end with that exit code, and say all the words on
// stderr.
func (h *host) fails(code int, line string, words ...string) {
	h.Helper()
	r := h.run(line)
	if r.code != code {
		h.Errorf("%s$ %s: exit %d, want %d\n%s%s", h.name, line, r.code, code, r.out, r.err)
	}
	for _, w := range words {
		if !strings.Contains(r.err, w) {
			h.Errorf("%s$ %s does not say %q but:\n%s", h.name, line, w, r.err)
		}
	}
}

// rest waits, as nothing happens.
func rest(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-interrupted.Done():
		t.Fatal(errors.New("interrupted"))
	}
}
