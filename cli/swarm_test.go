package cli_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// builtNode is the binary that these tests run: the one that make built, with
// Wasmer inside, or else a plain one.
func builtNode(t *testing.T) string {
	if bin := os.Getenv("SHOAL_NODE_BINARY"); bin != "" {
		return bin
	}
	bin := filepath.Join(t.TempDir(), "node")
	if err := run("..", nil, "go", "build", "-o", bin, "./cli/node"); err != nil {
		t.Fatal(err)
	}
	return bin
}

func run(dir string, env []string, name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	if out, err := c.CombinedOutput(); err != nil {
		return errors.New(strings.Join(c.Args, " ") + ": " + err.Error() + "\n" + string(out))
	}
	return nil
}

// TestSwarm runs the scripts in testdata/swarm: real processes of the built
// binary on loopback, each with a home of its own. Beside testscript's own,
// they have these commands:
//
//	serve NAME [FLAG]…         start a node; $NAME_API and $NAME_PEER are what it printed, as is $NAME_TOKEN of a founder
//	                           ! serve … if it must not start; what it said, and "exit CODE", is in refused
//	on NAME COMMAND [ARG]…     run a command at that node; ! on … if it must fail
//	exits CODE NAME COMMAND…   the same, and the exit code must be CODE
//	first VAR FILE             set VAR to the first word of a file, or of stdout
//	peers NAME N               wait until it knows N peers that run jobs
//	running NAME JOB           wait until the job runs; $EXECUTOR is the name of the node that runs it
//	crash NAME                 SIGKILL
//	halt NAME                  SIGTERM, and wait until it has stopped: with code 0, and with nothing left of it
//	abandon NAME               SIGTERM twice: it ends at once, and no child outlives it
//	connected NAME N           wait until N clients are connected to it
//	freeze NAME, thaw NAME     SIGSTOP and SIGCONT
//	behind NAME FILE WORD COMMAND…
//	                           start a command at that node and go on once it has said WORD
//	ended CODE FILE            wait until that command has ended; what it said is in FILE
//	leave FILE                 SIGINT to the command that writes that file
//	code VAR FILE              set VAR to the join code that a node has shown there
//	interrupt NAME COMMAND…    the same as on, with Ctrl-C once it has printed two lines
//	tap NAME                   listen in on the HTTP API of a node from now on: $NAME_TAP is where to ask it
//	resend NAME [swap OLD NEW | at OTHER]
//	                           send the last request that was heard again, with NEW for OLD, or to another node;
//	                           the answer is in resent
func TestSwarm(t *testing.T) {
	bin := builtNode(t)
	examples, err := filepath.Abs("../examples")
	if err != nil {
		t.Fatal(err)
	}
	guests := t.TempDir()
	build := map[string][]string{
		"wordcount.wasm": {"go", "build", "-o"},
		"guest.wasm":     {"clang", "--target=wasm32-wasi", "-Os", "-s", "-nodefaultlibs", "-lc", "-o"},
		"errors.wasm":    {"clang", "--target=wasm32-wasi", "-Os", "-s", "-nodefaultlibs", "-lc", "-o"},
	}
	source := map[string]string{"wordcount.wasm": "./examples/wordcount", "guest.wasm": "node/testdata/guest.c", "errors.wasm": "examples/errors/errors.c"}
	for name, line := range build {
		line = append(line, filepath.Join(guests, name), source[name])
		if err := run("..", []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"}, line[0], line[1:]...); err != nil {
			t.Fatalf("%v (`make deps` installs what is missing)", err)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/swarm",
		Setup: func(e *testscript.Env) error {
			s := &swarm{bin: bin, nodes: map[string]*process{}, behind: map[string]*process{}, taps: map[string]*wiretap{}}
			e.Values["swarm"] = s
			e.Defer(s.stop)
			e.Setenv("EXAMPLES", examples)
			e.Setenv("GUESTS", guests)
			e.Setenv("NODE", bin)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serve, "on": on, "first": first, "exits": exits, "peers": peers, "running": running,
			"crash": crash, "halt": halt, "freeze": freeze, "thaw": thaw, "connected": connected, "abandon": abandon, "interrupt": interrupt, "behind": behind, "ended": ended,
			"leave": leave, "code": code,
			"tap": tap, "resend": resend,
		},
	})
}

type swarm struct {
	bin    string
	nodes  map[string]*process
	behind map[string]*process // commands that run beside the script, by their file
	taps   map[string]*wiretap // by the name of the node
}

// process is a node, or a command, that runs.
type process struct {
	cmd  *exec.Cmd
	id   string
	done chan struct{}
}

// start starts a command that ends with this test, even if that is killed, and
// gives take its stdout line by line; its stderr too, unless that has a place. It
// returns once take has had enough, or the command has ended its output, and
// closes log when the command is over.
func start(c *exec.Cmd, log io.Closer, take func(line string) (enough bool)) (*process, error) {
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if c.Stderr == nil {
		c.Stderr = c.Stdout
	}
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{cmd: c, done: make(chan struct{})}
	began, taken := make(chan error, 1), make(chan struct{})
	enough := sync.OnceFunc(func() { close(taken) })
	go func() {
		// The signal comes when the thread that started the command ends: this
		// goroutine keeps it until the command is over.
		runtime.LockOSThread()
		defer close(p.done)
		defer log.Close()
		err := c.Start()
		began <- err
		defer enough()
		if err != nil {
			return
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if take(lines.Text()) {
				enough()
			}
		}
		enough()
		_, _ = io.Copy(io.Discard, out) // after a line that is too long
		_ = c.Wait()
	}()
	err = <-began
	<-taken
	return p, err
}

func (s *swarm) stop() {
	for _, w := range s.taps {
		w.close()
	}
	for _, p := range s.behind {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	for _, p := range s.nodes {
		_ = p.cmd.Process.Signal(os.Interrupt)
	}
	for _, p := range s.nodes {
		select {
		case <-p.done:
		case <-time.After(20 * time.Second): // a node that hangs is killed, and its home shows why
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	}
}

func theSwarm(ts *testscript.TestScript) *swarm { return ts.Value("swarm").(*swarm) }

// command is a command line at the named node.
func (s *swarm) command(ts *testscript.TestScript, name string, args ...string) *exec.Cmd {
	c := exec.Command(s.bin, args...)
	c.Dir = ts.MkAbs(".")
	c.Env = []string{"SHOAL_HOME=" + ts.MkAbs(name), "SHOAL_TOKEN=" + ts.Getenv("SHOAL_TOKEN"), "GOLOG_LOG_LEVEL=" + ts.Getenv("GOLOG_LOG_LEVEL"), "HOME=" + ts.Getenv("HOME"), "PATH=" + os.Getenv("PATH")}
	return c
}

var (
	bannerPeer = regexp.MustCompile(`(?m)^ +peer +(\S+)$`)
	bannerAPI  = regexp.MustCompile(`(?m)^ +API +(\S+)$`)
	bannerJoin = regexp.MustCompile(`SHOAL_TOKEN=(\S+)`)
)

func serve(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: serve NAME [FLAG]…")
	}
	s, name := theSwarm(ts), args[0]
	c := s.command(ts, name, append([]string{"serve", "--api", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0"}, args[1:]...)...)
	log, err := os.Create(ts.MkAbs(name + ".log"))
	ts.Check(err)
	c.Stderr = log
	var banner strings.Builder
	whole := false
	p, err := start(c, log, func(line string) bool {
		if !whole {
			banner.WriteString(line + "\n")
			whole = strings.HasPrefix(line, "  (or ") // the last line
		}
		return whole
	})
	ts.Check(err)
	peer := bannerPeer.FindStringSubmatch(banner.String())
	if peer == nil {
		<-p.done
		why, _ := os.ReadFile(ts.MkAbs(name + ".log"))
		why = fmt.Appendf(why, "exit %d\n", p.cmd.ProcessState.ExitCode())
		ts.Check(os.WriteFile(ts.MkAbs("refused"), why, 0o600))
		if !neg {
			ts.Fatalf("node %s did not start:\n%s%s", name, banner.String(), why)
		}
		return
	}
	ts.Check(os.WriteFile(ts.MkAbs(name+".out"), []byte(banner.String()), 0o600))
	s.nodes[name] = p
	if neg {
		ts.Fatalf("node %s started, and must not", name)
	}
	p.id = peer[1]
	ts.Setenv(name+"_PEER", p.id)
	ts.Logf("%s", banner.String())
	if m := bannerAPI.FindStringSubmatch(banner.String()); m != nil {
		ts.Setenv(name+"_API", m[1])
		host, port, _ := strings.Cut(m[1], ":")
		ts.Setenv(name+"_HTTP", "/ip4/"+host+"/tcp/"+port+"/http")
	}
	if m := bannerJoin.FindStringSubmatch(banner.String()); m != nil {
		ts.Setenv(name+"_TOKEN", m[1])
	}
}

// at runs a command at a node, keeps what it prints for stdout and stderr, and
// returns its exit code.
func at(ts *testscript.TestScript, args []string) int {
	if len(args) < 2 {
		ts.Fatalf("usage: on NAME COMMAND [ARG]…")
	}
	s := theSwarm(ts)
	ts.Setenv("SHOAL_HOME", ts.MkAbs(args[0]))
	err := ts.Exec(s.bin, args[1:]...)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	ts.Fatalf("%v", err)
	return -1
}

func on(ts *testscript.TestScript, neg bool, args []string) {
	if code := at(ts, args); (code != 0) != neg {
		ts.Fatalf("%s exited with %d", strings.Join(args, " "), code)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if want, err := strconv.Atoi(args[0]); err != nil || neg {
		ts.Fatalf("usage: exits CODE NAME COMMAND…")
	} else if code := at(ts, args[1:]); code != want {
		ts.Fatalf("%s exited with %d, want %d", strings.Join(args[1:], " "), code, want)
	}
}

func first(ts *testscript.TestScript, _ bool, args []string) {
	words := strings.Fields(ts.ReadFile(args[1]))
	if len(words) == 0 {
		ts.Fatalf("%s is empty", args[1])
	}
	ts.Setenv(args[0], words[0])
}

// until runs a command at a node until what it prints satisfies ok.
func until(ts *testscript.TestScript, what string, ok func(stdout string) bool, name string, args ...string) {
	deadline := time.After(time.Minute)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		c := theSwarm(ts).command(ts, name, args...)
		out, err := c.Output()
		if err == nil && ok(string(out)) {
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("waited in vain until %s: %v\n%s", what, err, out)
		case <-again.C: // a process is looked at from outside; there is nothing to wait on
		}
	}
}

func peers(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, args[0]+" knows "+args[1]+" peers", func(out string) bool {
		return strconv.Itoa(strings.Count(out, `"wasm":`)) == args[1] && strconv.Itoa(strings.Count(out, `"free":`)) == args[1]
	}, args[0], "peers", "-o", "json")
}

func running(ts *testscript.TestScript, _ bool, args []string) {
	executor := regexp.MustCompile(`"executor": "(\w+)"`)
	until(ts, "job "+args[1]+" runs", func(out string) bool {
		m := executor.FindStringSubmatch(out)
		if m == nil || !strings.Contains(out, `"state": "running"`) {
			return false
		}
		for name, p := range theSwarm(ts).nodes {
			if p.id == m[1] {
				ts.Setenv("EXECUTOR", name)
			}
		}
		return true
	}, args[0], "describe", args[1], "-o", "json")
}

func crash(ts *testscript.TestScript, _ bool, args []string) {
	s := theSwarm(ts)
	p := s.nodes[args[0]]
	if p == nil {
		ts.Fatalf("no node %q runs", args[0])
	}
	ts.Check(p.cmd.Process.Kill())
	<-p.done
	delete(s.nodes, args[0])
}

func behind(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 4 {
		ts.Fatalf("usage: behind NAME FILE WORD COMMAND…")
	}
	s, word := theSwarm(ts), args[2]
	c := s.command(ts, args[0], args[3:]...)
	log, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	said := false
	p, err := start(c, log, func(line string) bool {
		fmt.Fprintln(log, line)
		said = said || strings.Contains(line, word)
		return said
	})
	ts.Check(err)
	s.behind[args[1]] = p
}

func ended(ts *testscript.TestScript, _ bool, args []string) {
	p := theSwarm(ts).behind[args[1]]
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		ts.Fatalf("%s does not end:\n%s", args[1], ts.ReadFile(args[1]))
	}
	if code := strconv.Itoa(p.cmd.ProcessState.ExitCode()); code != args[0] {
		ts.Fatalf("%s exited with %s, want %s:\n%s", args[1], code, args[0], ts.ReadFile(args[1]))
	}
}

func leave(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(theSwarm(ts).behind[args[0]].cmd.Process.Signal(os.Interrupt))
}

var shownCode = regexp.MustCompile(`join approve (\S+)`)

func code(ts *testscript.TestScript, _ bool, args []string) {
	m := shownCode.FindStringSubmatch(ts.ReadFile(args[1]))
	if m == nil {
		ts.Fatalf("%s shows no code", args[1])
	}
	ts.Setenv(args[0], m[1])
}

func interrupt(ts *testscript.TestScript, _ bool, args []string) {
	c := theSwarm(ts).command(ts, args[0], args[1:]...)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.StdoutPipe()
	ts.Check(err)
	ts.Check(c.Start())
	lines := bufio.NewScanner(out)
	var stdout []string
	for lines.Scan() {
		if stdout = append(stdout, lines.Text()); len(stdout) == 2 {
			ts.Check(c.Process.Signal(os.Interrupt))
		}
	}
	_ = c.Wait()
	ts.Check(os.WriteFile(ts.MkAbs("interrupted"), []byte(stderr.String()), 0o600))
	if code := c.ProcessState.ExitCode(); code != 130 {
		ts.Fatalf("exit code %d after Ctrl-C, want 130; stderr:\n%s", code, stderr.String())
	}
	if len(stdout) > 0 {
		ts.Setenv("JOB", stdout[0])
	}
}
