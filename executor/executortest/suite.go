// Package executortest is what every executor.Executor must do: Run is a suite
// of tests for one. Its programs are calls of the probe in testdata, or of
// whatever understands the same commands (package fake).
package executortest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/executor"
)

// Subject is an executor under test.
type Subject struct {
	Executor executor.Executor
	Module   string // the probe, as the executor wants it
	// Children lists what runs on this machine for the executor at the moment;
	// nil where it starts no process.
	Children func() ([]string, error)
}

// Run tests s.
func Run(t *testing.T, s Subject) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Subject)
	}{
		{"exit codes", exitCodes},
		{"arguments and environment", arguments},
		{"live output", liveOutput},
		{"time-out", timeOut},
		{"cancel", cancel},
		{"inputs are read-only", inputs},
		{"outputs", outputs},
		{"output is capped", capped},
		{"many at once", concurrent},
		{"logs are appended to", appended},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.test(t, s)
			noChildren(t, s)
		})
	}
}

func noChildren(t *testing.T, s Subject) {
	t.Helper()
	if s.Children == nil {
		return
	}
	list, err := s.Children()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) > 0 {
		t.Errorf("left behind: %v", list)
	}
}

// program is a task under test and what it wrote.
type program struct {
	executor.Task
	t *testing.T
}

func newProgram(t *testing.T, s Subject, args ...string) *program {
	t.Helper()
	dir := t.TempDir()
	p := &program{t: t, Task: executor.Task{
		Module: s.Module,
		Args:   args,
		Stdout: filepath.Join(dir, "stdout"),
		Stderr: filepath.Join(dir, "stderr"),
		Limits: executor.Limits{Memory: 128 << 20, Wall: time.Minute, Output: 64 << 10},
	}}
	p.put(p.Stdout, "")
	p.put(p.Stderr, "")
	return p
}

func (p *program) put(path, content string) {
	p.t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// mount shows a new folder at guest.
func (p *program) mount(guest string, write bool) (host string) {
	host = p.t.TempDir()
	p.Mounts = append(p.Mounts, executor.Mount{Host: host, Guest: guest, Write: write})
	return host
}

func (p *program) text(path string) string {
	p.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// ends runs p and wants a code and, on stdout, a text.
func (p *program) ends(s Subject, code int, stdout string) {
	p.t.Helper()
	r, err := s.Executor.Run(p.t.Context(), p.Task)
	if err != nil || r.Exit != code || r.Error != "" {
		p.t.Fatalf("got %+v and error %v, want code %d; stderr: %s", r, err, code, p.text(p.Stderr))
	}
	if got := p.text(p.Stdout); got != stdout {
		p.t.Fatalf("got %q on stdout, want %q", got, stdout)
	}
	if r.Usage.Wall <= 0 {
		p.t.Errorf("it used no time: %+v", r.Usage)
	}
}

func exitCodes(t *testing.T, s Subject) {
	for _, code := range []int{0, 1, 42, 255} {
		newProgram(t, s, fmt.Sprintf("exit=%d", code)).ends(s, code, "")
	}
	newProgram(t, s, "print=done").ends(s, 0, "done\n")
}

func arguments(t *testing.T, s Subject) {
	args := []string{"args", "print=", "print= ü \t", "env=NAME", "env=NONE", "print=--flag"}
	p := newProgram(t, s, args...)
	p.Env = map[string]string{"NAME": "a value = with é", "OTHER": ""}
	p.ends(s, 0, fmt.Sprintf("%q\n\n ü \t\nNAME=a value = with é of 2\nNONE= of 2\n--flag\n", args))
}

// liveOutput wants to read what a program wrote while it goes on.
func liveOutput(t *testing.T, s Subject) {
	p := newProgram(t, s, "print=out", "eprint=err", "hang")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() {
		_, err := s.Executor.Run(ctx, p.Task)
		done <- err
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for p.text(p.Stdout) != "out\n" || p.text(p.Stderr) != "err\n" {
		select {
		case err := <-done:
			t.Fatalf("ended early: %v", err)
		case <-t.Context().Done():
			t.Fatal("no output")
		case <-tick.C:
		}
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("got error %v, want that it was cancelled", err)
	}
}

func timeOut(t *testing.T, s Subject) {
	for _, how := range []string{"hang", "spin"} {
		// How long a busy machine takes to start a program is not known.
		wall := time.Second
		for !endsAtTimeOut(t, s, how, wall) {
			if wall *= 4; wall > time.Minute {
				t.Fatalf("%s: output before the time-out is lost", how)
			}
		}
	}
}

// endsAtTimeOut reports whether a program had begun before it was ended.
func endsAtTimeOut(t *testing.T, s Subject, how string, wall time.Duration) bool {
	t.Helper()
	p := newProgram(t, s, "print=begun", how)
	p.Limits.Wall = wall
	r, err := s.Executor.Run(t.Context(), p.Task)
	if err != nil || r.OK() || !strings.Contains(r.Error, fmt.Sprintf("time-out of %s", wall)) {
		t.Fatalf("%s: got %+v and error %v, want a time-out", how, r, err)
	}
	return p.text(p.Stdout) == "begun\n"
}

func cancel(t *testing.T, s Subject) {
	ended, stop := context.WithCancel(t.Context())
	stop()
	if _, err := s.Executor.Run(ended, newProgram(t, s, "print=x").Task); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: got %v", err)
	}
}

func inputs(t *testing.T, s Subject) {
	p := newProgram(t, s, "read=/in/dir/a", "read=/in/file", "list=/in/dir", "write=/in/dir/a:changed")
	p.put(filepath.Join(p.mount("/in/dir", false), "a"), "A\n")
	file := filepath.Join(t.TempDir(), "some name")
	p.put(file, "F\n")
	p.Mounts = append(p.Mounts, executor.Mount{Host: file, Guest: "/in/file"})
	p.ends(s, 1, "A\nF\na\n")
	if !strings.Contains(strings.ToLower(p.text(p.Stderr)), "read-only") {
		t.Errorf("it was not told why: %s", p.text(p.Stderr))
	}
	if got := p.text(filepath.Join(p.Mounts[0].Host, "a")); got != "A\n" {
		t.Errorf("the input was changed to %q", got)
	}
}

func outputs(t *testing.T, s Subject) {
	p := newProgram(t, s, "write=/out/one/a:1", "write=/out/two/b:2", "read=/out/one/a", "list=/out/two")
	one, two := p.mount("/out/one", true), p.mount("/out/two", true)
	p.ends(s, 0, "1b\n")
	if a, b := p.text(filepath.Join(one, "a")), p.text(filepath.Join(two, "b")); a != "1" || b != "2" {
		t.Errorf("got outputs %q and %q", a, b)
	}
}

// capped wants the beginning, a word about the rest, and a program that ends as
// it would have.
func capped(t *testing.T, s Subject) {
	p := newProgram(t, s, "spam=1000000", "eprint=still here", "exit=7")
	r, err := s.Executor.Run(t.Context(), p.Task)
	if err != nil || r.Exit != 7 {
		t.Fatalf("got %+v and error %v", r, err)
	}
	limit := int(p.Limits.Output)
	out := p.text(p.Stdout)
	if len(out) > limit+200 || strings.Count(out[:min(limit, len(out))], "x") != limit || !strings.Contains(out[limit:], "limit") {
		t.Errorf("got %d bytes, the last of them %q", len(out), out[max(0, len(out)-100):])
	}
	if got := p.text(p.Stderr); got != "still here\n" {
		t.Errorf("got %q on stderr", got)
	}
}

func concurrent(t *testing.T, s Subject) {
	var all sync.WaitGroup
	for i := range 8 {
		p := newProgram(t, s, fmt.Sprintf("write=/out/x:%d", i), "read=/out/x", fmt.Sprintf("exit=%d", i))
		p.mount("/out", true)
		all.Go(func() {
			r, err := s.Executor.Run(t.Context(), p.Task)
			if out := p.text(p.Stdout); err != nil || r.Exit != i || out != fmt.Sprint(i) {
				t.Errorf("run %d: got %+v, error %v, output %q", i, r, err, out)
			}
		})
	}
	all.Wait()
}

func appended(t *testing.T, s Subject) {
	p := newProgram(t, s, "print=two")
	p.put(p.Stdout, "one\n")
	p.ends(s, 0, "one\ntwo\n")
}

// Touch makes empty files, as an executor wants them for stdout and stderr.
func Touch(t testing.TB, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
