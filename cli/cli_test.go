package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	// Under the race detector, each process would sleep for a second at its end.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	testscript.Main(m, map[string]func(){
		"node":  func() { os.Exit(Main(os.Args)) },
		"shoal": func() { os.Exit(Main(os.Args)) },
	})
}

// TestScripts runs testdata/*.txtar: what a person sees, to the letter. With
// UPDATE=1 it writes what was seen into the scripts.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "h")
			e.Setenv("SHOAL_HOME", home)
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("TZ", "UTC")
			return os.Mkdir(home, 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"fake":  fake,
			"mkdev": mkdev,
			"big":   big,
		},
	})
}

// exits CODE PROGRAM ARGS... runs a program that must exit with the code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var e *exec.ExitError
	if errors.As(err, &e) {
		code = e.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exited with %d, want %s; stderr:\n%s", code, args[0], ts.ReadFile("stderr"))
	}
}

// fake [BREAK...] starts a fake node in $SHOAL_HOME.
func fake(ts *testscript.TestScript, neg bool, args []string) {
	startFake(scriptTest{ts}, ts.Getenv("SHOAL_HOME"), args...)
}

// scriptTest lets a script's helper fail and clean up with its script.
type scriptTest struct{ ts *testscript.TestScript }

func (s scriptTest) Cleanup(f func())  { s.ts.Defer(f) }
func (s scriptTest) Error(args ...any) { s.ts.Fatalf("%s", fmt.Sprint(args...)) }
func (s scriptTest) Fatal(args ...any) { s.ts.Fatalf("%s", fmt.Sprint(args...)) }

// mkdev PATH makes a named pipe, which is what a user can make of devices.
func mkdev(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(exec.Command("mkfifo", ts.MkAbs(args[0])).Run())
}

// big FILE writes a file that is larger than anything that is read whole.
func big(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), bytes.Repeat([]byte("#\n"), 1<<20), 0o600))
}

// run runs a command line in this process.
func run(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = Run(ctx, append([]string{"node"}, args...), strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

const header = "\x00asm\x01\x00\x00\x00"

// jobFolder is a folder with a job whose program is told to act.
func jobFolder(t *testing.T, act string) string {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("main.wasm", header)
	write("job.yaml", "task: {wasm: {module: ./main.wasm}, args: ["+act+"]}\noutputs: [{name: counts, at: /out}]\n")
	return filepath.Join(dir, "job.yaml")
}

// TestLostAnswer: the answer to a submission is lost, and there is one job.
func TestLostAnswer(t *testing.T) {
	home := t.TempDir()
	f := startFake(t, home, "submit")
	code, stdout, stderr := run(t.Context(), "submit", jobFolder(t, "ok"), "--home", home)
	if code != 0 || stdout != "k7q2e00000001\n" {
		t.Fatalf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if !strings.Contains(stderr, "broke off; trying again") {
		t.Errorf("stderr says nothing of it: %q", stderr)
	}
	if l, _ := f.List(t.Context()); len(l.Jobs) != 1 {
		t.Errorf("there are %d jobs", len(l.Jobs))
	}
}

// TestBrokenStream: the output goes on where it broke off, not a byte twice.
func TestBrokenStream(t *testing.T) {
	home := t.TempDir()
	startFake(t, home, "logs")
	code, stdout, stderr := run(t.Context(), "submit", jobFolder(t, "ok"), "--follow", "--home", home)
	if want := "k7q2e00000001\ncounting\nwords\n"; code != 0 || stdout != want {
		t.Fatalf("exit %d, stdout %q, want %q, stderr %q", code, stdout, want, stderr)
	}
}

// TestInterrupt: Ctrl-C while following leaves the job alone and says how to
// go on.
func TestInterrupt(t *testing.T) {
	home := t.TempDir()
	f := startFake(t, home)
	ctx, interrupt := context.WithCancel(t.Context())
	out := &until{word: "words", then: interrupt}
	var errs lockedBuffer
	code := Run(ctx, []string{"shoal", "submit", "--home", home, jobFolder(t, "hang"), "--follow"}, nil, out, &errs)
	if code != 130 {
		t.Errorf("exit %d, want 130", code)
	}
	want := "job k7q2e00000001 goes on; follow it again with: shoal logs -f k7q2e00000001 --home " + home + "\n"
	if got := errs.String(); !strings.HasSuffix(got, want) {
		t.Errorf("stderr is %q, want %q at its end", got, want)
	}
	if j, err := f.Job(t.Context(), "k7q2"); err != nil || j.Terminal() {
		t.Errorf("the job is %v, %v", j.State(), err)
	}
}

// TestWaitTimeout: a job that does not end in time is no failure of its own.
func TestWaitTimeout(t *testing.T) {
	home := t.TempDir()
	startFake(t, home)
	if code, _, stderr := run(t.Context(), "submit", jobFolder(t, "hang"), "--home", home); code != 0 {
		t.Fatal(stderr)
	}
	code, _, stderr := run(t.Context(), "submit", jobFolder(t, "hang"), "--follow", "--timeout", "50ms", "--home", home)
	if code != 4 || !strings.Contains(stderr, "job k7q2e00000002 goes on; follow it again with") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
	code, _, stderr = run(t.Context(), "wait", "k7q2", "--timeout", "50ms", "--home", home)
	if code != 4 || !strings.Contains(stderr, "job k7q2 has not ended after 50ms") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
}

// TestCancelEndsFollow: who follows a job is told that another cancelled it.
func TestCancelEndsFollow(t *testing.T) {
	home := t.TempDir()
	startFake(t, home)
	out := &until{word: "words", then: func() { run(context.Background(), "cancel", "k7q2", "--home", home) }}
	var errs lockedBuffer
	code := Run(t.Context(), []string{"node", "submit", "--home", home, jobFolder(t, "hang"), "--follow"}, nil, out, &errs)
	if got := errs.String(); code != 1 || !strings.Contains(got, "job k7q2e00000001 was cancelled: cancelled by its user") {
		t.Errorf("exit %d, stderr %q", code, got)
	}
}

// until is a writer that does something once it has seen a word.
type until struct {
	lockedBuffer
	word string
	then func()
	once sync.Once
}

func (u *until) Write(b []byte) (int, error) {
	n, err := u.lockedBuffer.Write(b)
	if strings.Contains(u.String(), u.word) {
		u.once.Do(u.then)
	}
	return n, err
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
