package wasm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/executor/executortest"
	"github.com/shoal-mesh/shoal/executor/wasm/child"
	"github.com/shoal-mesh/shoal/executor/wasm/wasi"
)

const brokenMarker = "SHOAL_TEST_BROKEN_CHILD"

// brokenEngine is an engine that hostile code has taken over: it leaves the
// WASI aside and tries things itself. Its report says what worked.
type brokenEngine struct{}

func (brokenEngine) Name() string { return "broken" }

// Compile leaves code, and a link where the parent might write.
func (brokenEngine) Compile(c child.Code) error {
	return errors.Join(
		os.WriteFile(filepath.Join(c.Dir, "code"), []byte("code"), 0o600),
		os.Symlink("../../../swarm.key", filepath.Join(c.Dir, sumName)))
}

func (brokenEngine) Run(c child.Code, _ *wasi.System) error {
	if os.Getenv("FORK") != "" {
		return child.Trap{Reason: strconv.Itoa(fork())}
	}
	if say := os.Getenv("SAY"); say != "" {
		fmt.Fprint(os.Stderr, say) // where reports go
		os.Exit(0)
	}
	var worked []string
	try := func(what string, err error) {
		if err == nil {
			worked = append(worked, what)
		}
	}
	in, out, beside := os.Getenv("IN"), os.Getenv("OUT"), os.Getenv("BESIDE")
	_, err := os.ReadFile(filepath.Join(in, "f"))
	try("read input", err)
	try("write output", os.WriteFile(filepath.Join(out, "f"), nil, 0o600))
	try("write input", os.WriteFile(filepath.Join(in, "f"), nil, 0o600))
	try("remove input", os.Remove(filepath.Join(in, "f")))
	_, err = os.ReadFile("/etc/passwd")
	try("read /etc/passwd", err)
	_, err = os.ReadDir("/")
	try("list /", err)
	_, err = os.ReadFile(beside)
	try("read beside", err)
	try("link beside", os.Link(beside, filepath.Join(out, "stolen")))
	_, err = os.ReadFile("/proc/self/environ")
	try("read /proc", err)
	_, err = os.StartProcess("/bin/sh", []string{"sh", "-c", ":"}, &os.ProcAttr{})
	try("start a program", err)
	conn, err := net.Dial("tcp", os.Getenv("ADDRESS"))
	try("connect", err)
	if err == nil {
		conn.Close()
	}
	privileges, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil || privileges != 1 {
		worked = append(worked, "keep privileges")
	}
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil || core.Max != 0 {
		worked = append(worked, "dump core")
	}
	return child.Trap{Reason: strings.Join(worked, ", ")}
}

func maybeBrokenChild() {
	if os.Getenv(brokenMarker) == "1" {
		child.Main(brokenEngine{})
	}
}

// fork leaves a process behind that nothing kills.
//
//go:norace
func fork() int {
	pid, _, _ := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if pid == 0 {
		_, _, _ = syscall.RawSyscall(syscall.SYS_SETSID, 0, 0, 0)
		for {
			_, _, _ = syscall.RawSyscall6(syscall.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
	return int(pid)
}

// broken runs a broken engine.
func broken(ctx context.Context, t *testing.T, env ...string) (ending, error) {
	e := engine{name: "broken", path: "/proc/self/exe", env: append(env, brokenMarker+"=1", "GORACE=atexit_sleep_ms=0")}
	dir := t.TempDir()
	tk := executor.Task{Stdout: filepath.Join(dir, "stdout"), Stderr: filepath.Join(dir, "stderr"), Module: filepath.Join(dir, "module")}
	executortest.Touch(t, tk.Stdout, tk.Stderr, tk.Module)
	files, err := openFiles(tk, e, &compiled{})
	if err != nil {
		return ending{}, err
	}
	defer files.close()
	return e.start(ctx, child.Task{Op: child.OpRun}, files)
}

// What a child that was taken over leaves running holds nothing up.
func TestEscapedProcessHoldsNothingUp(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var end ending
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		end, err = broken(ctx, t, "FORK=1")
	}()
	// The child has ended, but not all that holds its end of the pipe.
	until(t, "the child has ended", func() bool { return len(zombies(os.Getpid())) == 1 })
	stop()
	<-done
	pid, _ := strconv.Atoi(end.report.Trap)
	if err != nil || pid <= 0 {
		t.Fatalf("got %+v, error %v", end, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("what was to escape did not: %v", err)
	}
}

// A child that was taken over says what it likes.
func TestWordsOfChildrenAreText(t *testing.T) {
	long := strings.Repeat("y", 1000)
	for name, say := range map[string]string{
		"crash":          "\xff\x1b[2J" + long,
		"a cut":          strings.Repeat("é", 1000),
		"another engine": "\nshoal-report {\"engine\":\"\\u001b" + long + "\"}\n",
		"trap":           "\nshoal-report {\"engine\":\"broken\",\"trap\":\"\\ud800\\u001b" + long + "\",\"memory\":-5}\n",
		"bad":            "\nshoal-report {\"engine\":\"broken\",\"bad\":\"" + long + "\"}\n",
		"failed":         "\nshoal-report {\"engine\":\"broken\",\"failed\":\"" + long + "\"}\n",
	} {
		end, err := broken(t.Context(), t, "SAY="+say)
		text := fmt.Sprint(err)
		if err == nil {
			r, err := result(end, executor.Limits{}, nil)
			text = fmt.Sprint(r.Error, err)
			if r.Usage.Memory < 0 {
				t.Errorf("%s: it used %d bytes", name, r.Usage.Memory)
			}
		}
		if !utf8.ValidString(text) || strings.Contains(text, "\x1b") || len(text) > 800 || len(text) < 400 {
			t.Errorf("%s: got %d bytes, %s", name, len(text), text)
		}
	}
}

// The second layer, alone: an engine that does what it wants reaches the mounts
// and nothing else.
func TestBrokenEngineIsConfined(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	t.Run("fetched input", func(t *testing.T) { brokenEngineIsConfined(t, dir, wasi.Mount{Host: in, Guest: "/in"}) })
	t.Run("part of a live folder", func(t *testing.T) {
		brokenEngineIsConfined(t, dir, wasi.Mount{Host: dir, Sub: "in", Guest: "/in"})
	})
}

func brokenEngineIsConfined(t *testing.T, dir string, input wasi.Mount) {
	in, out, beside := filepath.Join(dir, "in"), filepath.Join(t.TempDir(), "out"), filepath.Join(dir, "beside")
	write(t, filepath.Join(in, "f"), "input")
	write(t, beside, "secret")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	e := engine{name: "broken", path: "/proc/self/exe", env: []string{
		brokenMarker + "=1", "IN=" + in, "OUT=" + out, "BESIDE=" + beside, "ADDRESS=" + server.Addr().String(),
	}}
	tk := task(t, beside)
	files, err := openFiles(executor.Task{Module: beside, Stdout: tk.Stdout, Stderr: tk.Stderr}, e, &compiled{})
	if err != nil {
		t.Fatal(err)
	}
	defer files.close()
	end, err := e.start(t.Context(), child.Task{Op: child.OpRun, Mounts: []wasi.Mount{
		input, {Host: out, Guest: "/out", Write: true},
	}}, files)
	if err != nil || !end.reported {
		t.Fatalf("error %v, it said %s", err, end.said)
	}
	t.Logf("layers: %v", end.report.Layers)
	if !slices.ContainsFunc(end.report.Layers, func(l string) bool { return strings.HasPrefix(l, "landlock") }) {
		t.Skip("this kernel has no Landlock, so there is no second layer to test")
	}
	if want := "read input, write output"; end.report.Trap != want {
		t.Errorf("it could %s; want %s", end.report.Trap, want)
	}
}

const parentMarker = "SHOAL_TEST_PARENT"

// maybeParent runs a module that never ends, until it is killed.
func maybeParent() {
	dir := os.Getenv(parentMarker)
	if dir == "" {
		return
	}
	x, err := New(Config{Dir: dir, Wazero: true}, zap.NewNop())
	if err == nil {
		_, err = x.Run(contextOfLife(), executor.Task{
			Module: filepath.Join(dir, "m.wasm"),
			Stdout: filepath.Join(dir, "stdout"), Stderr: filepath.Join(dir, "stderr"),
		})
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
