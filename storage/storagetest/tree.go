package storagetest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Trees returns makers of files and folders that a store has to bring back as
// they were, by what is special about them.
func Trees() map[string]func(t testing.TB, path string) {
	return map[string]func(testing.TB, string){
		"file":         func(t testing.TB, path string) { write(t, path, "hello") },
		"empty file":   func(t testing.TB, path string) { write(t, path, "") },
		"large file":   func(t testing.TB, path string) { write(t, path, Noise(5<<20+7)) },
		"empty folder": func(t testing.TB, path string) { mkdir(t, path) },
		"odd names":    oddNames,
		"many entries": manyEntries,
		"deep":         func(t testing.TB, path string) { write(t, filepath.Join(path, strings.Repeat("d/", 60), "x"), "x") },
		"same contents": func(t testing.TB, path string) {
			for i := range 4 {
				write(t, filepath.Join(path, fmt.Sprint(i), "x"), Noise(2<<20))
			}
		},
	}
}

func oddNames(t testing.TB, path string) {
	for i, name := range []string{
		" ", " lead and trail ", "new\nline", "tab\t", "quote'\"`", "$HOME;rm", "-rf", "*?[x]", `back\slash`,
		".hidden", "...", "50%25 done", "a:b", "ünïcödé ☃", "not utf8 \xff\xfe", "\x01\x7f", strings.Repeat("n", 255),
	} {
		write(t, filepath.Join(path, name, name), fmt.Sprint(i))
		write(t, filepath.Join(path, "empty files", name), "")
		mkdir(t, filepath.Join(path, "empty folders", name))
	}
}

// manyEntries makes a folder that does not fit into one block.
func manyEntries(t testing.TB, path string) {
	mkdir(t, path)
	for i := range 1200 { // names and CIDs of 280 KiB; a folder is split at 256 KiB
		name := fmt.Sprintf("%s-%d", strings.Repeat("long name ", 20), i)
		if err := os.WriteFile(filepath.Join(path, name), fmt.Append(nil, i%7), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Noise returns n bytes without repetition, the same every time.
func Noise(n int) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return string(b)
}

// Tree is what lies at a path and below it: by relative path ("." for itself)
// "file" and the content, "folder", or "link" and the target.
type Tree map[string]string

// Read reads what is at a path, following no link.
func Read(t testing.TB, path string) Tree {
	t.Helper()
	tree := Tree{}
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(path, p)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			tree[name] = "folder"
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			tree[name] = "link " + target
			return err
		case d.Type().IsRegular():
			data, err := os.ReadFile(p)
			tree[name] = "file " + string(data)
			return err
		default:
			return fmt.Errorf("%s is of kind %s", p, d.Type())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// Same reports differences to a second tree.
func (a Tree) Same(t testing.TB, b Tree) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if got, ok := b[name]; !ok {
			t.Errorf("%q is missing", name)
		} else if got != a[name] {
			t.Errorf("%q is %s, want %s", name, brief(got), brief(a[name]))
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			t.Errorf("%q was not there before", name)
		}
	}
}

func brief(s string) string {
	if len(s) > 60 {
		return fmt.Sprintf("%.60q… (%d bytes)", s, len(s))
	}
	return fmt.Sprintf("%q", s)
}

func (a Tree) isFile() bool { return strings.HasPrefix(a["."], "file ") }

// bytes is the sum of the lengths of all files.
func (a Tree) bytes() (n int64) {
	for _, what := range a {
		if data, ok := strings.CutPrefix(what, "file "); ok {
			n += int64(len(data))
		}
	}
	return n
}

func put(t *testing.T, s Storer, path string) (cid string, size int64) {
	t.Helper()
	cid, size, err := s.Put(t.Context(), path, "")
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	return cid, size
}

func fetch(t *testing.T, s Storer, ref, dst string) {
	t.Helper()
	if err := s.Fetch(t.Context(), ref, dst); err != nil {
		t.Fatalf("Fetch %s: %v", ref, err)
	}
}

func mkdir(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, data string) {
	t.Helper()
	mkdir(t, filepath.Dir(path))
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func symlink(t testing.TB, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// absent checks that there is nothing at a path nor beside it.
func absent(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there", path)
	}
	onlyEntry(t, path)
}

// onlyEntry checks that nothing lies beside a path.
func onlyEntry(t testing.TB, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			t.Errorf("%q was left behind", e.Name())
		}
	}
}
