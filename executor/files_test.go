package executor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// deep nests n folders at path, as a program may that opens one after another.
func deep(t *testing.T, path string, n int) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_DIRECTORY, 0)
	for i := 0; i < n && err == nil; i++ {
		if err = unix.Mkdirat(fd, "d", 0o700); err != nil {
			break
		}
		var next int
		if next, err = unix.Openat(fd, "d", unix.O_DIRECTORY, 0); err == nil {
			unix.Close(fd)
			fd = next
		}
	}
	unix.Close(fd)
	if err != nil {
		t.Fatal(err)
	}
}

func TestRemoveAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, beside := filepath.Join(dir, "tree"), filepath.Join(dir, "beside")
	if err := os.WriteFile(beside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func(){
		"nothing": func() {},
		"a file":  func() { link(t, beside, path) },
		"deep":    func() { deep(t, path, 2100) },
		"wide": func() {
			for i := range batch + 10 {
				if err := os.MkdirAll(filepath.Join(path, strings.Repeat("x", i%200+1), strings.Repeat("y", i/200+1)), 0o700); err != nil {
					t.Fatal(err)
				}
			}
		},
		"read-only": func() {
			if err := os.MkdirAll(filepath.Join(path, "a", "b"), 0o700); err != nil {
				t.Fatal(err)
			}
			link(t, "../beside", filepath.Join(path, "a", "l"))
			for _, p := range []string{filepath.Join(path, "a"), path} {
				if err := os.Chmod(p, 0o500); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		make()
		if err := RemoveAll(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if list, err := os.ReadDir(dir); err != nil || len(list) != 1 || list[0].Name() != "beside" {
			t.Fatalf("%s: left are %v, error %v", name, list, err)
		}
	}
	if err := RemoveAll(filepath.Join(dir, "none", "x")); err != nil {
		t.Error(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func TestUnfit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 200)
	for want, make := range map[string]func(dir string){
		"":                                    func(dir string) { deep(t, filepath.Join(dir, "a"), maxDepth-2) },
		"nested more than 256 deep":           func(dir string) { deep(t, filepath.Join(dir, "a"), 2100) },
		`"a\xff" is neither a file`:           func(dir string) { link(t, "x", filepath.Join(dir, "a\xff")) },
		`"\x1b[2J\n" is neither`:              func(dir string) { link(t, "x", filepath.Join(dir, "\x1b[2J\n")) },
		`nnn"… is neither a file nor a folde`: func(dir string) { nested(t, dir, long) },
	} {
		dir := t.TempDir()
		make(dir)
		got, err := unfit(t.Context(), dir)
		if err != nil || !strings.Contains(got, want) || (want == "") != (got == "") || len(got) > maxError {
			t.Errorf("got %q, error %v, want %q", got, err, want)
		}
		if err := RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}
}

// nested leaves a pipe in folders with long names.
func nested(t *testing.T, dir, name string) {
	t.Helper()
	dir = filepath.Join(dir, name, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
		t.Fatal(err)
	}
}
