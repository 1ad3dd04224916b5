package wasi

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFunctions(t *testing.T) {
	if len(Functions) != 46 {
		t.Errorf("there are %d functions, want all 46", len(Functions))
	}
	for _, f := range Functions {
		if strings.Trim(f.Params, "iI") != "" || f.call == nil || !Known(Namespace, f.Name) {
			t.Errorf("%+v is not well formed", f)
		}
	}
	if Known("env", "fd_read") || Known(Namespace, "fd_rad") {
		t.Error("a function that there is not is known")
	}
}

func TestMountPoints(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		points []string
		want   string
	}{
		{[]string{"/a", "/b/c", "/b/d/e"}, ""},
		{[]string{"/"}, ""},
		{[]string{"a"}, "no clean absolute path"},
		{[]string{""}, "no clean absolute path"},
		{[]string{"/a/"}, "no clean absolute path"},
		{[]string{"/a/../b"}, "no clean absolute path"},
		{[]string{"/a\x00"}, "no clean absolute path"},
		{[]string{"/a", "/a"}, "used twice"},
		{[]string{"/a", "/a/b"}, "inside another"},
		{[]string{"/a/b", "/a"}, "above another"},
		{[]string{"/", "/a"}, "inside another"},
		{[]string{"/a", "/"}, "above another"},
	} {
		var cfg Config
		for _, p := range c.points {
			cfg.Mounts = append(cfg.Mounts, Mount{Host: dir, Guest: p})
		}
		s, err := New(cfg)
		if err == nil {
			s.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.points, err, c.want)
		}
	}
}

// names lists an open folder, in buffers of size bytes.
func (g *guest) names(fd uint32, size int) []string {
	g.t.Helper()
	var list []string
	cookie := uint64(0)
	for {
		g.want(0, "fd_readdir", fd, 2048, size, cookie, 0)
		n := int(binary.LittleEndian.Uint32(g.mem))
		b := g.mem[2048 : 2048+n]
		for len(b) >= 24 {
			l := int(binary.LittleEndian.Uint32(b[16:]))
			if 24+l > len(b) {
				break
			}
			cookie = binary.LittleEndian.Uint64(b)
			list = append(list, string(b[24:24+l]))
			b = b[24+l:]
		}
		if n < size {
			return list
		}
	}
}

func TestReaddir(t *testing.T) {
	g, in, _ := newGuest(t)
	for i := range 200 {
		name := filepath.Join(in, strings.Repeat("f", 1+i))
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fd := g.mustOpen(3, "in", openDirectory, readOnly)
	for _, size := range []int{300, 1000, 20000} {
		got := g.names(fd, size)
		slices.Sort(got)
		if len(got) != 204 || got[0] != "." || got[1] != ".." || got[2] != "a" || len(slices.Compact(got)) != 204 {
			t.Errorf("with buffers of %d: %d names, %q", size, len(got), got[:3])
		}
	}
	if got := g.names(3, 4096); !slices.Equal(got, []string{".", "..", "deep", "in", "out"}) {
		t.Errorf("the top holds %q", got)
	}
	down := g.mustOpen(3, "deep/down", openDirectory, readOnly)
	if got := g.names(down, 4096); !slices.Equal(got, []string{".", "..", "file"}) {
		t.Errorf("/deep/down holds %q", got)
	}
}

func TestDescriptors(t *testing.T) {
	g, _, _ := newGuest(t)
	a := g.mustOpen(3, "in/a", 0, readOnly)
	b := g.mustOpen(3, "in/sub/b", 0, readOnly)
	if a != 4 || b != 5 {
		t.Errorf("got descriptors %d and %d, want the lowest free ones", a, b)
	}
	g.want(0, "fd_renumber", b, a)
	if got := g.read(a); got != "B" {
		t.Errorf("read %q after renumbering", got)
	}
	g.want(ebadf, "fd_close", b)
	g.want(ebadf, "fd_renumber", a, 77)
	g.want(0, "fd_close", a)
	g.want(ebadf, "fd_close", a)
	g.want(ebadf, "fd_prestat_get", 4, 0)
	g.want(espipe, "fd_seek", 1, uint64(0), 0, 0)
	g.want(eisdir, "fd_read", 3, 0, 0, 0)
	g.want(ebadf, "fd_write", 0, 0, 0, 0)
	g.want(ebadf, "fd_read", 1, 0, 0, 0)
	g.want(enotsock, "sock_shutdown", 1, 0)
	g.want(ebadf, "sock_shutdown", 50, 0)
	g.want(enosys, "proc_raise", 1)
	for range maxDescriptors {
		if _, e := g.open(3, "in/a", 0, readOnly); e != 0 {
			if e != emfile {
				t.Errorf("too many files: errno %d", e)
			}
			return
		}
	}
	t.Error("there is no end to descriptors")
}

func TestPollClock(t *testing.T) {
	g, _, _ := newGuest(t)
	sub := g.mem[64:]
	binary.LittleEndian.PutUint64(sub, 7)
	binary.LittleEndian.PutUint32(sub[16:], clockMonotonic)
	binary.LittleEndian.PutUint64(sub[24:], 1000)
	binary.LittleEndian.PutUint64(sub[48:], 8)
	binary.LittleEndian.PutUint32(sub[48+16:], clockRealtime)
	binary.LittleEndian.PutUint64(sub[48+24:], 3600e9)
	g.want(0, "poll_oneoff", 64, 512, 2, 0)
	if n, user := binary.LittleEndian.Uint32(g.mem), binary.LittleEndian.Uint64(g.mem[512:]); n != 1 || user != 7 {
		t.Errorf("got %d events, the first for %d", n, user)
	}
	g.want(einval, "poll_oneoff", 64, 512, 0, 0)
}

func TestStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := NewStream(f, "stdout", 10)
	for _, b := range []string{"12345", "67890", "x", "y"} {
		if n, err := s.Write([]byte(b)); n != len(b) || err != nil {
			t.Fatalf("wrote %d, error %v", n, err)
		}
	}
	got, err := os.ReadFile(path)
	if want := "1234567890\n[shoal: stdout ends here, at its limit of 10 bytes; the program went on]\n"; err != nil || string(got) != want {
		t.Errorf("got %q, error %v", got, err)
	}
}
