//go:build lab

package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// interrupted ends with Ctrl-C; whatever waits here waits no longer then.
var interrupted context.Context

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	interrupted = ctx
	if why := unfit(); why != "" {
		fmt.Printf("the lab was left out: %s\n", why)
		return
	}
	sweep()
	code := m.Run()
	if ctx.Err() != nil {
		code = 130
	}
	os.Exit(code)
}

// unfit says why there can be no lab on this machine, "" if there can.
func unfit() string {
	if os.Geteuid() != 0 {
		return "it makes network namespaces, which needs root: run make lab as root"
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return "there is no ip command; `make deps` installs iproute2"
	}
	// All that a LAN is made of, and the socket that watches it.
	name := prefix() + "try"
	defer ip("netns", "del", name)
	for _, line := range []string{
		"netns add " + name,
		"-n " + name + " link add br0 type bridge",
		"-n " + name + " link add one type veth peer name two",
	} {
		if err := ip(strings.Fields(line)...); err != nil {
			return "this machine does not let it make a network: " + err.Error()
		}
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "this machine does not let it capture packets: " + err.Error()
	}
	unix.Close(fd)
	return ""
}

// Everything that a run makes is named after its process and when that began, so
// that what is left of a dead one can be told from what is in use.
const brand = "shoal-lab-"

func prefix() string {
	return fmt.Sprintf("%s%d-%s-", brand, os.Getpid(), startOf(os.Getpid()))
}

// startOf is when a process began, in ticks since boot; "" if there is none.
func startOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The name in parentheses may hold anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	return fields[19]
}

// sweep removes what runs left behind that did not come to it themselves.
func sweep() {
	for _, dir := range []string{netnsDir, etcDir, os.TempDir()} {
		found, _ := filepath.Glob(filepath.Join(dir, brand+"*"))
		for _, path := range found {
			var pid int
			var rest string
			name := filepath.Base(path)
			if _, err := fmt.Sscanf(name, brand+"%d-%s", &pid, &rest); err != nil {
				continue
			}
			if began, _, _ := strings.Cut(rest, "-"); startOf(pid) == began {
				continue // in use
			}
			fmt.Println("lab: removing what an earlier run left:", path)
			if dir == netnsDir {
				removeNetns(name)
			}
			os.RemoveAll(path)
		}
	}
}
