package wasi

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Paths that lead out of what the program may see, each tried with everything
// that takes a path.
func TestNoPathLeadsOut(t *testing.T) {
	g, in, out := newGuest(t)
	dir := filepath.Dir(out)
	for link, target := range map[string]string{
		filepath.Join(in, "abs"):       filepath.Join(dir, "secret"),
		filepath.Join(in, "up"):        "../secret",
		filepath.Join(in, "root"):      "/",
		filepath.Join(in, "parent"):    "..",
		filepath.Join(out, "abs"):      filepath.Join(dir, "secret"),
		filepath.Join(out, "up"):       "../secret",
		filepath.Join(out, "other"):    "../other",
		filepath.Join(out, "twice"):    "dir/../../secret",
		filepath.Join(out, "chain"):    "up",
		filepath.Join(out, "loop"):     "loop",
		filepath.Join(out, "dir/deep"): "../../other/secret",
	} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	sub := g.mustOpen(3, "out/dir", openDirectory, readOnly)
	host := map[uint32]string{3: dir, sub: filepath.Join(out, "dir")}
	for _, c := range []struct {
		fd   uint32
		path string
	}{
		{3, "/etc/passwd"}, {3, dir + "/secret"}, {3, ".."}, {3, "../secret"}, {3, "in/../../secret"},
		{3, "in/../../../../../../etc/passwd"}, {3, "deep/down/file/../neighbour"}, {3, "deep/neighbour"},
		{3, "deep/down/neighbour"}, {3, "./in/./../.."}, {3, "out/../.."},
		{3, "in/abs"}, {3, "in/up"}, {3, "in/root/etc/passwd"}, {3, "in/parent/secret"},
		{3, "out/abs"}, {3, "out/up"}, {3, "out/other/secret"}, {3, "out/twice"}, {3, "out/chain"},
		{3, "out/loop"}, {3, "out/dir/deep"}, {3, "out/other/../secret"},
		{sub, "../own"}, {sub, "../../secret"}, {sub, "deep"}, {sub, "/"}, {sub, "./../dir/../own"},
		{3, "in/a\x00"}, {3, "secret\x00"}, {3, ""}, {3, strings.Repeat("x/", 3000)}, {3, strings.Repeat("n", 300)},
		{0, "x"}, {99, "x"}, {1 << 31, "x"},
	} {
		for _, o := range []struct {
			oflags int
			rights uint64
		}{{0, readOnly}, {0, readWrite}, {openDirectory, readOnly}, {openTruncate, readWrite}} {
			if n, e := g.open(c.fd, c.path, o.oflags, o.rights); e == 0 {
				// Only a folder of the program's own view may be there.
				if st := g.s.fds[n]; st.kind != fileDirectory || st.node == nil {
					t.Errorf("open %q from %d was allowed", c.path, c.fd)
				}
				g.call("fd_close", n)
			}
		}
		for name, e := range map[string]Errno{
			"readlink target": g.call("path_filestat_get", c.fd, followSymlink, str(c.path), 0),
			"set times":       g.call("path_filestat_set_times", c.fd, followSymlink, str(c.path), uint64(1), uint64(1), setAtime|setMtime),
			"link":            g.call("path_link", c.fd, 0, str(c.path), 3, str("out/stolen")),
		} {
			if e == 0 && !strings.HasPrefix(name, "readlink") && !isLink(filepath.Join(host[c.fd], c.path)) {
				t.Errorf("%s of %q from %d was allowed", name, c.path, c.fd)
			}
		}
		os.Remove(filepath.Join(out, "stolen"))
		_, e := g.open(c.fd, c.path+".new", openCreate|openExclusive, readWrite)
		if _, err := os.Lstat(filepath.Join(dir, "secret.new")); err == nil || e == 0 && strings.HasPrefix(c.path, "..") {
			t.Errorf("created beside %q", c.path)
		}
	}
	unchanged(t, dir)
}

func isLink(path string) bool {
	fi, err := os.Lstat(path)
	return err == nil && fi.Mode()&os.ModeSymlink != 0
}

func unchanged(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"secret", "other/secret", "deep/neighbour"} {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil || string(b) != "secret" {
			t.Errorf("%s now holds %q (%v)", name, b, err)
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil || st.Nlink != 1 || st.Mtim.Sec < 1e9 {
			t.Errorf("%s was touched: %+v (%v)", name, st, err)
		}
	}
	for _, name := range []string{".", "other", "deep"} {
		list, err := os.ReadDir(filepath.Join(dir, name))
		if want := map[string]int{".": 5, "other": 1, "deep": 2}[name]; err != nil || len(list) != want {
			t.Errorf("%s now holds %v (%v)", name, list, err)
		}
	}
}

// Links that a program makes itself lead no further than those it finds.
func TestGuestLinksDoNotLeadOut(t *testing.T) {
	g, _, out := newGuest(t)
	g.want(eperm, "path_symlink", str("/etc/passwd"), 3, str("out/l"))
	g.want(0, "path_symlink", str("../secret"), 3, str("out/l"))
	g.want(0, "path_symlink", str(".."), 3, str("out/up"))
	for _, path := range []string{"out/l", "out/up/secret", "out/up/other/secret"} {
		if _, e := g.open(3, path, 0, readOnly); e != eperm {
			t.Errorf("open %s: errno %d, want not permitted", path, e)
		}
	}
	g.want(eperm, "path_rename", 3, str("out/own"), 3, str("out/up/own"))
	g.want(eperm, "path_create_directory", 3, str("out/up/d"))
	g.want(eperm, "path_unlink_file", 3, str("out/up/secret"))
	g.want(erofs, "path_link", 3, 0, str("in/a"), 3, str("out/a"))
	g.want(einval, "path_link", 3, followSymlink, str("out/l"), 3, str("out/a"))

	// A folder that is swapped for a link after it was opened stays itself.
	fd := g.mustOpen(3, "out/dir", openDirectory, readOnly)
	g.want(0, "path_rename", 3, str("out/dir"), 3, str("out/moved"))
	g.want(0, "path_symlink", str("../other"), 3, str("out/dir"))
	if _, e := g.open(fd, "secret", 0, readOnly); e != enoent {
		t.Errorf("open in a moved folder: errno %d", e)
	}
	if got := g.read(g.mustOpen(fd, "x", 0, readOnly)); got != "x" {
		t.Errorf("read %q in a moved folder", got)
	}
	unchanged(t, filepath.Dir(out))
}

// What is neither a file nor a folder is not opened, and does not block.
func TestOddFilesAreNotOpened(t *testing.T) {
	g, in, _ := newGuest(t)
	if err := unix.Mkfifo(filepath.Join(in, "fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, o := range []uint64{readOnly, readWrite} {
		if _, e := g.open(3, "in/fifo", 0, o); e == 0 {
			t.Error("a FIFO was opened")
		}
	}
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/etc", link); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Mounts: []Mount{{Host: link, Guest: "/x"}}}); err == nil {
		t.Error("a link was mounted")
	}
}

// Pointers and lengths out of memory end in EFAULT, never in a crash.
func TestPointersOutOfMemory(t *testing.T) {
	g, _, _ := newGuest(t)
	fd := g.mustOpen(3, "out/own", 0, readWrite)
	end := uint32(len(g.mem))
	for _, ptr := range []uint32{end, end - 3, 1 << 31, 1<<32 - 1, 1<<32 - 8} {
		for _, c := range []struct {
			name string
			args []any
		}{
			{"args_get", []any{ptr, 0}}, {"args_sizes_get", []any{0, ptr}}, {"environ_sizes_get", []any{ptr, 0}},
			{"clock_time_get", []any{0, uint64(0), ptr}}, {"random_get", []any{ptr, 100}}, {"random_get", []any{0, ptr + 1}},
			{"fd_read", []any{fd, ptr, 1, 0}}, {"fd_write", []any{fd, ptr, 1, 0}}, {"fd_fdstat_get", []any{fd, ptr}},
			{"fd_filestat_get", []any{fd, ptr}}, {"fd_prestat_get", []any{3, ptr}}, {"fd_readdir", []any{3, ptr, 8, uint64(0), 0}},
			{"fd_readdir", []any{3, 0, 8, uint64(0), ptr}}, {"fd_tell", []any{fd, ptr}}, {"fd_seek", []any{fd, uint64(0), 0, ptr}},
			{"path_open", []any{3, 0, ptr, 4, 0, readOnly, readOnly, 0, 0}}, {"path_open", []any{3, 0, 0, 4, 0, readOnly, readOnly, 0, ptr}},
			{"poll_oneoff", []any{ptr, 0, 1, 0}}, {"poll_oneoff", []any{0, ptr, 1, 0}}, {"path_readlink", []any{3, ptr, 4, 0, 8, 0}},
		} {
			if e := g.call(c.name, c.args...); e != efault && !(c.name == "random_get" && e == 0) && !(c.name == "path_open" && e != 0) {
				t.Errorf("%s%v: errno %d, want EFAULT", c.name, c.args, e)
			}
		}
	}
	// A vector whose buffer is out of memory, and too many of them.
	binary.LittleEndian.PutUint32(g.mem[8:], end-1)
	binary.LittleEndian.PutUint32(g.mem[12:], 2)
	g.want(efault, "fd_write", fd, 8, 1, 0)
	g.want(einval, "fd_write", fd, 8, 1<<30, 0)
	g.want(efault, "poll_oneoff", 0, 0, uint32(1<<32-1), 0)
}
