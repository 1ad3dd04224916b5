package wasm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/executor/executortest"
)

// contextOfLife never ends: the process that uses it is killed.
func contextOfLife() context.Context { return context.Background() }

// A node that is killed leaves no program behind.
func TestChildDiesWithItsParent(t *testing.T) {
	dir := t.TempDir()
	b, err := os.ReadFile(save(t, program(0x03, 0x40, 0x0c, 0, 0x0b))) // loops for ever
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "m.wasm"), string(b))
	executortest.Touch(t, filepath.Join(dir, "stdout"), filepath.Join(dir, "stderr"))
	parent := exec.Command("/proc/self/exe")
	parent.Env = append(os.Environ(), parentMarker+"="+dir)
	parent.Stderr = os.Stderr
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid string
	until(t, "the program runs", func() bool {
		// The compiler is a child too; the one that runs has the cache's folder.
		list, _ := filepath.Glob(filepath.Join(dir, "cache", "wasm", "[^.]*"))
		found := childrenOf(parent.Process.Pid)
		if len(list) == 1 && len(found) == 1 {
			pid = found[0]
		}
		return pid != ""
	})
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed, as it was to be
	until(t, "the program has died", func() bool {
		b, err := os.ReadFile("/proc/" + pid + "/stat")
		return err != nil || strings.Contains(string(b), ") Z ")
	})
}

// until waits for a state of the system that nothing tells of.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline.Done():
			t.Fatalf("it never came to be that %s", what)
		}
	}
}

// childrenOf lists a process's children that run programs.
func childrenOf(parent int) []string {
	var found []string
	for _, pid := range allChildren(parent) {
		name, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if err == nil && strings.HasPrefix(string(name), childName) {
			found = append(found, pid)
		}
	}
	return found
}

// zombies lists a process's children that have ended.
func zombies(parent int) []string {
	var found []string
	for _, pid := range allChildren(parent) {
		b, err := os.ReadFile("/proc/" + pid + "/stat")
		if err == nil && strings.Contains(string(b), ") Z ") {
			found = append(found, pid)
		}
	}
	return found
}

func allChildren(parent int) []string {
	list, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	var found []string
	for _, path := range list {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		found = append(found, strings.Fields(string(b))...)
	}
	return found
}
