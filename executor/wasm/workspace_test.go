package wasm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"
)

// A compiler that fell to its module leaves what it likes in its workspace. None
// of that may be followed, waited for, or loaded.
func TestHostileWorkspaces(t *testing.T) {
	home := t.TempDir()
	key := filepath.Join(home, "swarm.key")
	write(t, key, "the only copy")
	c, err := openCache(filepath.Join(home, "cache"), 1<<30, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	code := func(dir string) error { return os.WriteFile(filepath.Join(dir, "code"), []byte("code"), 0o600) }
	for name, leave := range map[string]func(dir string) error{
		"nothing":         func(string) error { return nil },
		"only folders":    func(dir string) error { return os.MkdirAll(filepath.Join(dir, "a/b"), 0o700) },
		"nested deep":     func(dir string) error { return os.MkdirAll(filepath.Join(dir, "a/b/c/d/e/f"), 0o700) },
		"a link as code":  func(dir string) error { return os.Symlink("../../swarm.key", filepath.Join(dir, "code")) },
		"a second name":   func(dir string) error { return os.Link(key, filepath.Join(dir, "code")) },
		"a pipe":          func(dir string) error { return unix.Mkfifo(filepath.Join(dir, "code"), 0o600) },
		"a socket":        func(dir string) error { return unix.Mknod(filepath.Join(dir, "code"), unix.S_IFSOCK|0o600, 0) },
		"a linked folder": func(dir string) error { return os.Symlink(home, filepath.Join(dir, "wazero")) },
		"a link as sum": func(dir string) error {
			return errors.Join(code(dir), os.Symlink("../../swarm.key", filepath.Join(dir, sumName)))
		},
		"a pipe as sum": func(dir string) error {
			return errors.Join(code(dir), unix.Mkfifo(filepath.Join(dir, sumName), 0o600))
		},
		"two files": func(dir string) error {
			return errors.Join(code(dir), os.WriteFile(filepath.Join(dir, "more"), nil, 0o600))
		},
	} {
		dir, err := c.workspace()
		if err != nil {
			t.Fatal(err)
		}
		if err := leave(dir); err != nil {
			t.Fatal(err)
		}
		if err := c.add("key", dir); err == nil {
			t.Errorf("%s: it was taken over", name)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if got := read(t, key); got != "the only copy" {
			t.Fatalf("%s: swarm.key became %q", name, got)
		}
		if list, err := os.ReadDir(c.dir); err != nil || len(list) > 0 || len(c.entries) > 0 {
			t.Errorf("%s: there is %v, error %v", name, list, err)
		}
	}
}

// What a compiler's child may still write to is not what is loaded.
func TestCodeIsCopied(t *testing.T) {
	c, err := openCache(t.TempDir(), 1<<30, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := c.workspace()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "layout", "code")
	write(t, file, "code")
	if err := c.add("key", dir); err != nil {
		t.Fatal(err)
	}
	write(t, file, "other code")
	e := c.acquire("key")
	if e == nil {
		t.Fatal("it is not there")
	}
	if got := read(t, e.file); got != "code" || e.file != filepath.Join(e.code(), "layout", "code") {
		t.Errorf("%s is %q", e.file, got)
	}

	// The next process clears the workspace away, and keeps the code.
	again, err := openCache(c.dir, 1<<30, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	if list, err := os.ReadDir(c.dir); err != nil || len(list) != 1 || again.acquire("key") == nil {
		t.Errorf("there is %v, error %v", list, err)
	}
}

// A compiler's child that was taken over, and the cache's folder around it.
func TestHostileCompiler(t *testing.T) {
	x := open(t, Config{Wazero: true})
	key := filepath.Join(x.cfg.Dir, "swarm.key")
	write(t, key, "the only copy")
	e := engine{name: "broken", path: "/proc/self/exe", identity: "broken", env: []string{brokenMarker + "=1", "GORACE=atexit_sleep_ms=0"}}
	_, err := x.run(t.Context(), e, task(t, save(t, program(0x00))))
	if err == nil || !strings.Contains(err.Error(), "holds more than one file") || read(t, key) != "the only copy" {
		t.Errorf("got error %v, and the key is %q", err, read(t, key))
	}
	if list, err := os.ReadDir(x.cache.dir); err != nil || len(list) > 0 {
		t.Errorf("there is %v, error %v", list, err)
	}
}
