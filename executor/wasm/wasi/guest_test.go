package wasi

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// guest calls a System as a program would: its memory is an array, in which
// strings are laid out anew for each call.
type guest struct {
	t   *testing.T
	s   *System
	mem []byte
	top uint32 // where the next string goes
}

// newGuest sees a read-only folder at /in, a file at /deep/down/file and a
// writable folder at /out. Around the host's side lie things that it must never
// reach.
func newGuest(t *testing.T) (g *guest, in, out string) {
	t.Helper()
	dir := t.TempDir()
	in, out = filepath.Join(dir, "in"), filepath.Join(dir, "out")
	for path, content := range map[string]string{
		"secret": "secret", "other/secret": "secret", "deep/file": "deep", "deep/neighbour": "secret",
		"in/a": "A", "in/sub/b": "B", "out/own": "own", "out/dir/x": "x",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := New(Config{
		Args: []string{"program", "arg"},
		Mounts: []Mount{
			{Host: in, Guest: "/in"},
			{Host: filepath.Join(dir, "deep", "file"), Guest: "/deep/down/file"},
			{Host: out, Guest: "/out", Write: true},
		},
		Exit: func(code uint32) { panic(code) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &guest{t: t, s: s, mem: make([]byte, 64<<10)}, in, out
}

// str is a string's pointer and length.
type str string

// call calls a function; a str becomes two arguments.
func (g *guest) call(name string, args ...any) Errno {
	g.t.Helper()
	i := slices.IndexFunc(Functions, func(f Function) bool { return f.Name == name })
	if i < 0 {
		g.t.Fatalf("no function %s", name)
	}
	g.top = 32 << 10
	var list []uint64
	for _, a := range args {
		switch a := a.(type) {
		case str:
			list = append(list, uint64(g.top), uint64(len(a)))
			g.top += uint32(copy(g.mem[g.top:], a))
		case int:
			list = append(list, uint64(a))
		case uint32:
			list = append(list, uint64(a))
		case uint64:
			list = append(list, a)
		default:
			g.t.Fatalf("argument %T", a)
		}
	}
	if len(list) != len(Functions[i].Params) {
		g.t.Fatalf("%s has %d parameters, given %d", name, len(Functions[i].Params), len(list))
	}
	return Errno(g.s.Call(i, g.mem, list))
}

func (g *guest) want(e Errno, name string, args ...any) {
	g.t.Helper()
	if got := g.call(name, args...); got != e {
		g.t.Errorf("%s%q: errno %d, want %d", name, args, got, e)
	}
}

const (
	readOnly  = uint64(rightFDRead | rightFDSeek)
	readWrite = readOnly | rightFDWrite
)

// open opens a path relative to a descriptor.
func (g *guest) open(fd uint32, path string, oflags int, rights uint64) (uint32, Errno) {
	g.t.Helper()
	e := g.call("path_open", fd, followSymlink, str(path), oflags, rights, rights, 0, 0)
	return binary.LittleEndian.Uint32(g.mem), e
}

func (g *guest) mustOpen(fd uint32, path string, oflags int, rights uint64) uint32 {
	g.t.Helper()
	n, e := g.open(fd, path, oflags, rights)
	if e != 0 {
		g.t.Fatalf("open %s: errno %d", path, e)
	}
	return n
}

// read is what a file holds from where it stands.
func (g *guest) read(fd uint32) string {
	g.t.Helper()
	binary.LittleEndian.PutUint32(g.mem[8:], 1024)
	binary.LittleEndian.PutUint32(g.mem[12:], 1024)
	g.want(0, "fd_read", fd, 8, 1, 16)
	return string(g.mem[1024 : 1024+binary.LittleEndian.Uint32(g.mem[16:])])
}
