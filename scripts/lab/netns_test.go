//go:build lab

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Where ip keeps names of namespaces, and files that stand for those of /etc in
// them.
const (
	netnsDir = "/run/netns"
	etcDir   = "/etc/netns"
)

// ip runs iproute2's command.
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// within runs f on a thread of its own that is in the namespace: sockets that f
// makes stay there. f starts no goroutine that makes others.
func within(netns string, f func() error) error {
	ns, err := os.Open(filepath.Join(netnsDir, netns))
	if err != nil {
		return err
	}
	defer ns.Close()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with this goroutine
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("entering %s: %w", netns, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// removeNetns ends every process that is in the namespace and removes it.
func removeNetns(name string) error {
	pids, err := exec.Command("ip", "netns", "pids", name).Output()
	for _, pid := range strings.Fields(string(pids)) {
		if n, err := strconv.Atoi(pid); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
	return errors.Join(err, ip("netns", "del", name), os.RemoveAll(filepath.Join(etcDir, name)))
}
