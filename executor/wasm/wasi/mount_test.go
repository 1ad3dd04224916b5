package wasi

import (
	"os"
	"path/filepath"
	"testing"
)

// Rules about mounts are about what was opened, wherever the names lead by then.
func TestReachesAreWhatWasOpened(t *testing.T) {
	dir := t.TempDir()
	for path, content := range map[string]string{"top/sub/a": "A", "top/file": "F", "secret/a": "secret"} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	top, sub := filepath.Join(dir, "top"), filepath.Join(dir, "top", "sub")
	s, err := New(Config{Mounts: []Mount{{Host: top, Sub: "sub", Guest: "/sub"}, {Host: top, Sub: "file", Guest: "/file"}, {Host: sub, Guest: "/out", Write: true}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	was, err := os.Stat(sub)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(sub, sub+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "secret"), sub); err != nil {
		t.Fatal(err)
	}
	all, err := s.Reaches()
	if err != nil || len(all) != 3 {
		t.Fatalf("%d reaches, error %v", len(all), err)
	}
	for i, r := range all {
		defer r.File.Close()
		fi, err := r.File.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if wantDir := i != 1; r.Dir != wantDir || fi.IsDir() != wantDir || r.Write != (i == 2) || wantDir && !os.SameFile(fi, was) {
			t.Errorf("%d: %+v is %s", i, r, fi.Mode())
		}
	}
	// What was a file and is a link now is not named at all.
	if err := os.Rename(filepath.Join(top, "file"), filepath.Join(top, "was")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "secret", "a"), filepath.Join(top, "file")); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Reaches(); err == nil {
		t.Errorf("a link that came later gave %+v", all)
	}
}
