package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// holds checks what is in a file, that it is its owner's alone, and that nothing
// lies beside it.
func holds(t *testing.T, path, text string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != text {
		t.Errorf("got %q, %v; want %q", got, err, text)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 1 {
		t.Errorf("the folder holds %v, %v", all, err)
	}
}

func TestCreateAndReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := Create(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, []byte("two")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a file: %v", err)
	}
	holds(t, path, "one")
	for range 2 {
		if err := Replace(path, []byte("three")); err != nil {
			t.Fatal(err)
		}
		holds(t, path, "three")
	}
	if got, err := ReadSecret(path, "secret", 5); err != nil || string(got) != "three" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestReplaceFails(t *testing.T) {
	dir := t.TempDir()
	if err := Replace(filepath.Join(dir, "none", "file"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("into no folder: %v", err)
	}
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Create(folder, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a folder: %v", err)
	}
	if err := Replace(folder, nil); err == nil {
		t.Error("a folder was replaced")
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("what failed has left %v, %v", all, err)
	}
}

func TestReadSecretRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if _, err := ReadSecret(path, "secret", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte("long"), 0o600); err != nil {
		t.Fatal(err)
	}
	for says, at := range map[string]struct {
		path string
		mode fs.FileMode
	}{
		"is longer than 3 bytes":      {path, 0o600},
		"wider than 0600":             {path, 0o640},
		"run: chmod 600 ":             {path, 0o604},
		"secret " + dir + " is not a": {dir, 0o700},
	} {
		if err := os.Chmod(at.path, at.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSecret(at.path, "secret", 3); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
}
