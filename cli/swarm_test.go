package cli_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// builtNode is the binary that these tests run: the one that make built, with
// Wasmer inside, or else a plain one.
var builtNode = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("SHOAL_NODE_BINARY"); bin != "" {
		return bin, nil
	}
	dir, err := os.MkdirTemp("", "shoal-node")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "node")
	return bin, run("..", nil, "go", "build", "-o", bin, "./cli/node")
})

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
//	serve NAME [FLAG]…         start a node; $NAME_API and $NAME_TOKEN are what it printed
//	on NAME COMMAND [ARG]…     run a command at that node; ! on … if it must fail
//	exits CODE NAME COMMAND…   the same, and the exit code must be CODE
//	first VAR FILE             set VAR to the first word of a file, or of stdout
//	peers NAME N               wait until it knows N peers that run jobs
//	running NAME JOB           wait until the job runs; $EXECUTOR is the name of the node that runs it
//	crash NAME                 SIGKILL
//	interrupt NAME COMMAND…    the same as on, with Ctrl-C once it has printed two lines
func TestSwarm(t *testing.T) {
	bin, err := builtNode()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("SHOAL_NODE_BINARY") == "" {
		defer os.RemoveAll(filepath.Dir(bin))
	}
	examples, err := filepath.Abs("../examples")
	if err != nil {
		t.Fatal(err)
	}
	guests := t.TempDir()
	build := map[string][]string{
		"wordcount.wasm": {"go", "build", "-o"},
		"guest.wasm":     {"clang", "--target=wasm32-wasi", "-Os", "-s", "-nodefaultlibs", "-lc", "-o"},
	}
	source := map[string]string{"wordcount.wasm": "./examples/wordcount", "guest.wasm": "node/testdata/guest.c"}
	for name, line := range build {
		line = append(line, filepath.Join(guests, name), source[name])
		if err := run("..", []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"}, line[0], line[1:]...); err != nil {
			t.Fatalf("%v (`make deps` installs what is missing)", err)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/swarm",
		Setup: func(e *testscript.Env) error {
			s := &swarm{bin: bin, nodes: map[string]*process{}}
			e.Values["swarm"] = s
			e.Defer(s.stop)
			e.Setenv("EXAMPLES", examples)
			e.Setenv("GUESTS", guests)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serve, "on": on, "first": first, "exits": exits, "peers": peers, "running": running, "crash": crash, "interrupt": interrupt,
		},
	})
}

type swarm struct {
	bin   string
	nodes map[string]*process
}

// process is a node that runs.
type process struct {
	cmd  *exec.Cmd
	id   string
	done chan struct{}
}

func (s *swarm) stop() {
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
	c.Env = []string{"SHOAL_HOME=" + ts.MkAbs(name), "SHOAL_TOKEN=" + ts.Getenv("SHOAL_TOKEN"), "HOME=" + ts.Getenv("HOME"), "PATH=" + os.Getenv("PATH")}
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
	out, err := c.StdoutPipe()
	ts.Check(err)
	log, err := os.Create(ts.MkAbs(name + ".log"))
	ts.Check(err)
	c.Stderr = log
	ts.Check(c.Start())
	p := &process{cmd: c, done: make(chan struct{})}
	var banner strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		banner.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "  (or ") { // the last line
			break
		}
	}
	go func() {
		for lines.Scan() {
		}
		_ = c.Wait()
		log.Close()
		close(p.done)
	}()
	peer := bannerPeer.FindStringSubmatch(banner.String())
	if peer == nil {
		<-p.done
		why, _ := os.ReadFile(ts.MkAbs(name + ".log"))
		ts.Check(os.WriteFile(ts.MkAbs("refused"), why, 0o600))
		if !neg {
			ts.Fatalf("node %s did not start:\n%s%s", name, banner.String(), why)
		}
		return
	}
	s.nodes[name] = p
	if neg {
		ts.Fatalf("node %s started, and must not", name)
	}
	p.id = peer[1]
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
