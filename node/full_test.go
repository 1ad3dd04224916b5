package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// TestHomeWithoutRoom starts a node, in a process with a mount namespace of its
// own, on file systems that take nothing or not enough. Whatever cannot be written
// is named, and nothing that was there is gone.
func TestHomeWithoutRoom(t *testing.T) {
	if dir := os.Getenv("SHOAL_TEST_HOME"); dir != "" {
		startWithoutRoom(dir, os.Getenv("SHOAL_TEST_ROOM"))
		return
	}
	t.Parallel()
	for name, want := range map[string][]string{
		"read-only":     {"home", "read-only file system", "--home"},
		"made and then": {"home", "read-only file system", "--home"},
		"full":          {"home folder", "no space left on device", "make room", "--home"},
		"64k":           {"no space left on device"},
		"16k":           {"no space left on device"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHomeWithoutRoom$")
			c.Env = append(os.Environ(), "SHOAL_TEST_HOME="+dir, "SHOAL_TEST_ROOM="+name)
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}}
			var out bytes.Buffer
			c.Stdout, c.Stderr = &out, &out
			err := c.Run()
			if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
				t.Skipf("this machine lets no account make a file system of its own: %v", err)
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			said, _, _ := strings.Cut(out.String(), "\nPASS")
			t.Logf("%s: %s", name, said)
			for _, w := range append(want, dir) {
				if !strings.Contains(said, w) {
					t.Errorf("it does not say %q: %s", w, said)
				}
			}
		})
	}
}

// startWithoutRoom prints why a node does not start.
func startWithoutRoom(dir, room string) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	options := "size=4k"
	switch room {
	case "16k", "64k":
		options = "size=" + room
	}
	must(unix.Mount("tmpfs", dir, "tmpfs", 0, options))
	home := filepath.Join(dir, "h")
	switch room {
	case "made and then":
		must(os.Mkdir(home, 0o700))
		fallthrough
	case "read-only":
		must(unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, options))
	case "full":
		must(os.WriteFile(filepath.Join(dir, "fill"), make([]byte, 4096), 0o600))
	}
	n, err := New(Config{Home: home, API: "127.0.0.1:0", Listen: []string{"/ip4/127.0.0.1/tcp/0"}}, zap.NewNop())
	must(err)
	ctx, stop := context.WithCancel(context.Background())
	err = n.Run(ctx, func(Offer) { stop() })
	stop()
	if err == nil {
		panic("it started")
	}
	fmt.Println(err)
}
