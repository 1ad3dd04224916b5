package cli_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// node is a node of the script by its name.
func (s *swarm) node(ts *testscript.TestScript, args []string) *process {
	if len(args) == 0 || s.nodes[args[0]] == nil {
		ts.Fatalf("no node %q runs", args)
	}
	return s.nodes[args[0]]
}

// halt has a node stop in good order.
func halt(ts *testscript.TestScript, _ bool, args []string) {
	s := theSwarm(ts)
	p := s.node(ts, args)
	children := descendants(p.cmd.Process.Pid)
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	<-p.done
	delete(s.nodes, args[0])
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		ts.Fatalf("%s was told to stop and exited with %d:\n%s", args[0], code, ts.ReadFile(args[0]+".log"))
	}
	gone(ts, children)
	if _, err := os.Lstat(filepath.Join(ts.MkAbs(args[0]), "api.sock")); err == nil {
		ts.Fatalf("%s left its socket", args[0])
	}
	lock, err := os.Open(filepath.Join(ts.MkAbs(args[0]), "lock"))
	ts.Check(err)
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		ts.Fatalf("%s is still locked: %v", args[0], err)
	}
	if left, _ := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "work", "*", "inputs")); len(left) > 0 {
		ts.Fatalf("%s left %v", args[0], left)
	}
}

// abandon has a node stop and does not wait for it to have done so.
func abandon(ts *testscript.TestScript, _ bool, args []string) {
	s := theSwarm(ts)
	p := s.node(ts, args)
	children := descendants(p.cmd.Process.Pid)
	// It takes the second for what it is once it has noted the first.
	for done := false; !done; {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			ts.Fatalf("%v", err)
		}
		select {
		case <-p.done:
			done = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	delete(s.nodes, args[0])
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		ts.Fatalf("%s ended with %v, and a second signal was to end it", args[0], p.cmd.ProcessState)
	}
	gone(ts, children)
}

func freeze(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(theSwarm(ts).node(ts, args).cmd.Process.Signal(syscall.SIGSTOP))
}

func thaw(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(theSwarm(ts).node(ts, args).cmd.Process.Signal(syscall.SIGCONT))
}

// connected waits until a node's socket has so many clients.
func connected(ts *testscript.TestScript, _ bool, args []string) {
	socket := filepath.Join(ts.MkAbs(args[0]), "api.sock")
	for {
		table, err := os.ReadFile("/proc/net/unix")
		ts.Check(err)
		n := 0
		for line := range strings.Lines(string(table)) {
			// Num RefCount Protocol Flags Type St Inode Path; state 3 is connected.
			if f := strings.Fields(line); len(f) == 8 && f[5] == "03" && f[7] == socket {
				n++
			}
		}
		if strconv.Itoa(n) == args[1] {
			return
		}
		select {
		case <-theSwarm(ts).node(ts, args).done:
			ts.Fatalf("%s ended", args[0])
		case <-time.After(20 * time.Millisecond): // a process is looked at from outside
		}
	}
}

// gone waits until processes are dead: those that their parent left to die with it
// take a moment.
func gone(ts *testscript.TestScript, pids []int) {
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		ts.Check(err)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 20_000)
		unix.Close(fd)
		if n != 1 {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			ts.Fatalf("process %d outlives its node (%v): %q", pid, err, line)
		}
	}
}

// descendants are the children of a process, and theirs.
func descendants(pid int) (all []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, l := range lists {
		b, _ := os.ReadFile(l)
		for _, f := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(f); err == nil {
				all = append(append(all, child), descendants(child)...)
			}
		}
	}
	return all
}
