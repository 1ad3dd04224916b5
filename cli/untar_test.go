package cli

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// archive is a tar archive of these entries; a body for files, a target for links.
func archive(t *testing.T, entries ...tar.Header) *bytes.Buffer {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestUntarHostile(t *testing.T) {
	dir := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeDir} }
	file := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg} }
	link := func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
	}
	tests := []struct {
		name    string
		entries []tar.Header
		want    string // in the error, or left out for none
		left    int    // entries left out
	}{
		{"empty", nil, "empty archive", 0},
		{"absolute", []tar.Header{file("/tmp/evil")}, "leads out", 0},
		{"dotdot", []tar.Header{file("../evil")}, "leads out", 0},
		{"dotdot inside", []tar.Header{dir("top"), file("top/../../evil")}, "leads out", 0},
		{"two tops", []tar.Header{file("a"), file("b")}, `sent "b" where "a"`, 0},
		{"file twice", []tar.Header{dir("top"), file("top/a"), file("top/a")}, "exists", 0},
		{"through a link", []tar.Header{dir("top"), link("top/a", "."), file("top/a/b/c")}, "no such file", 0},
		{"file over a link", []tar.Header{dir("top"), link("top/a", "b"), file("top/a")}, "exists", 0},
		{"link up and back", []tar.Header{dir("top"), dir("top/d"), link("top/d/a", "../b")}, "", 0},
		{"link out", []tar.Header{dir("top"), link("top/a", "../b")}, "", 1},
		{"link to itself", []tar.Header{link("top", "top")}, "", 1},
		{"hard link", []tar.Header{dir("top"), {Name: "top/a", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}}, "", 1},
		{"device", []tar.Header{dir("top"), {Name: "top/a", Typeflag: tar.TypeBlock}}, "", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			outer := t.TempDir()
			inner := filepath.Join(outer, "in")
			if err := os.Mkdir(inner, 0o700); err != nil {
				t.Fatal(err)
			}
			root, err := os.OpenRoot(inner)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			left, err := untar(root, archive(t, test.entries...))
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error is %v, want %q in it", err, test.want)
			case len(left) != test.left:
				t.Errorf("left out %v, want %d", left, test.left)
			}
			if all, _ := os.ReadDir(outer); len(all) != 1 {
				t.Errorf("something was written outside: %v", all)
			}
		})
	}
}

// TestBrokenFetch: half a result is no result.
func TestBrokenFetch(t *testing.T) {
	home, here := t.TempDir(), t.TempDir()
	startFake(t, home, "tar")
	code, stdout, stderr := run(t.Context(), "submit", jobFolder(t, "ok"), "--get", filepath.Join(here, "out"), "--home", home)
	if code != 3 || stdout != "k7q2e00000001\n" || !strings.Contains(stderr, "fetch output counts") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if left, err := os.ReadDir(filepath.Join(here, "out")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	code, _, stderr = run(t.Context(), "get", "k7q2", "-o", filepath.Join(here, "out"), "--home", home)
	if code != 0 {
		t.Errorf("exit %d at the second try: %s", code, stderr)
	}
}
