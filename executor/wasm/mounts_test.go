package wasm

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shoal-mesh/shoal/executor"
)

// live is a folder as an operator would offer it, with everything in it that
// might lead out, beside things that nobody may reach.
func live(t *testing.T) (top, beside string) {
	t.Helper()
	dir := t.TempDir()
	top, beside = filepath.Join(dir, "top"), filepath.Join(dir, "beside")
	for name, content := range map[string]string{
		"top/app/log": "log\n", "top/app/deep/er/log": "deep\n", "top/other/x": "other\n", "top/above": "above\n",
		"beside/secret": "secret\n", "secret": "secret\n",
	} {
		write(t, filepath.Join(dir, name), content)
	}
	for name, to := range map[string]string{
		"abs": filepath.Join(dir, "secret"), "up": "../../secret", "root": "/", "parent": "..", "sibling": "../other", "twice": "deep/../../../secret",
		"chain": "up", "loop": "loop", "dir": filepath.Join(dir, "beside"), "within": "log", "dwithin": "deep/er", "gone": "nothing", "proc": "/proc/self/root",
	} {
		if err := os.Symlink(to, filepath.Join(top, "app", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(top, "app", "fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	sock, err := net.Listen("unix", filepath.Join(top, "app", "sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close() })
	return top, beside
}

// opens watches a file and returns how often it was opened.
func opens(t *testing.T, path string) func() int {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	return func() (n int) {
		b := make([]byte, 64<<10)
		for {
			got, err := unix.Read(fd, b)
			if err != nil || got <= 0 {
				return n
			}
			n += got / unix.SizeofInotifyEvent // events of a watched file have no name
		}
	}
}

// No path leads above a mount, or into what is no file of it, in either engine.
func TestMountsLeadNowhereElse(t *testing.T) {
	guest := guests.Go(t, "testdata/mounts")
	both(t, func(t *testing.T, x *Executor) {
		top, beside := live(t)
		app := filepath.Join(top, "app")
		fifo := opens(t, filepath.Join(app, "fifo"))
		ok := []string{
			"read=/in/log: log", "read=/in/within: log", "read=/in/deep/er/log: deep", "read=/in/dwithin/log: deep", "list=/in/dwithin: log", "read=/in/deep/../log: log",
			"read=/one: log", "read=/all/app/log: log", "read=/all/above: above", "read=/all/app/sibling/x: other", "list=/all/other: x",
			"list=/in: abs chain deep dir dwithin fifo gone log loop parent proc root sibling sock twice up within",
		}
		var want, args []string
		for _, line := range ok {
			arg, _, _ := strings.Cut(line, ": ")
			args, want = append(args, arg), append(want, line)
		}
		no := func(verb string, paths ...string) {
			for _, p := range paths {
				args, want = append(args, verb+"="+p), append(want, verb+"="+p+": no")
			}
		}
		escapes := []string{
			"/in/abs", "/in/up", "/in/root/etc/passwd", "/in/parent/above", "/in/parent/other/x", "/in/sibling/x", "/in/twice", "/in/chain", "/in/loop", "/in/dir/secret", "/in/gone",
			"/in/proc/etc/passwd", "/in/../above", "/in/../../secret", "/in/deep/../../above", "/in/deep/../../../secret", "/in/fifo", "/in/sock", "/in/log/../../above",
			"/all/app/abs", "/all/app/up", "/all/app/root/etc/passwd", "/all/app/twice", "/all/app/dir/secret", "/all/../secret", "/all/app/fifo",
			"/one/x", "/one/../above", "/above", "/etc/passwd", filepath.Join(top, "above"), filepath.Join(beside, "secret"), "/in/nothing",
		}
		no("read", escapes...)
		no("list", "/in/root", "/in/parent", "/in/sibling", "/in/dir", "/in/proc", "/in/fifo", "/in/sock", "/all/app/root", "/all/app/dir", "/one", "/in/..//..")
		no("change", "/in/log", "/in/within", "/in/new", "/in/deep", "/in/up", "/in/dir/secret", "/in/fifo", "/one", "/all/app/log", "/all/app/sibling/x", "/in")
		want[indexOf(t, want, "list=/in/..//..: no")] = "list=/in/..//..: all in one out" // the top of what the program sees, and no more

		tk := task(t, guest, args...)
		tk.Mounts = []executor.Mount{
			{Host: top, Sub: "app", Guest: "/in"}, {Host: top, Sub: ".", Guest: "/all"}, {Host: top, Sub: "app/log", Guest: "/one"},
			{Host: t.TempDir(), Guest: "/out", Write: true},
		}
		before := tree(t, filepath.Dir(top))
		r, err := x.Run(t.Context(), tk)
		if err != nil || !r.OK() {
			t.Fatalf("got %+v, error %v; %s", r, err, read(t, tk.Stderr))
		}
		got := strings.Split(strings.TrimSuffix(read(t, tk.Stdout), "\n"), "\n")
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Errorf("got  %q\nwant %q", at(got, i), at(want, i))
			}
		}
		if n := fifo(); n > 0 {
			t.Errorf("the FIFO was opened %d times", n)
		}
		if after := tree(t, filepath.Dir(top)); after != before {
			t.Errorf("the folder changed from\n%s\nto\n%s", before, after)
		}
	})
}

func indexOf(t *testing.T, list []string, what string) int {
	t.Helper()
	for i, s := range list {
		if s == what {
			return i
		}
	}
	t.Fatalf("no %q", what)
	return -1
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// tree is all names below dir, with what they are and when they changed.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			b.WriteString(path + " " + fi.Mode().String() + " " + fi.ModTime().String() + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What changes below a mount while a program runs is seen, and leads nowhere.
func TestMountsAreLive(t *testing.T) {
	guest := guests.Go(t, "testdata/mounts")
	both(t, func(t *testing.T, x *Executor) {
		top, beside := live(t)
		app := filepath.Join(top, "app")
		tk := task(t, guest, "until=/in/log:log", "until=/in/go:swapped", "read=/in/deep/secret", "list=/in/deep", "read=/in/log", "read=/in/new", "until=/one:more")
		tk.Mounts = []executor.Mount{{Host: top, Sub: "app", Guest: "/in"}, {Host: top, Sub: "app/log", Guest: "/one"}}
		done := make(chan error, 1)
		go func() {
			r, err := x.Run(t.Context(), tk)
			if err == nil && !r.OK() {
				t.Errorf("got %+v; %s", r, read(t, tk.Stderr))
			}
			done <- err
		}()
		until(t, "it has begun", func() bool { return strings.Contains(read(t, tk.Stdout), "until=/in/log:log: log") })
		// A folder becomes a link, a log grows, a file comes.
		for _, err := range []error{
			os.Rename(filepath.Join(app, "deep"), filepath.Join(app, "moved")), os.Symlink(beside, filepath.Join(app, "deep")),
			os.WriteFile(filepath.Join(app, "log"), []byte("log\nmore\n"), 0o644), os.WriteFile(filepath.Join(app, "new"), []byte("new"), 0o644),
			os.WriteFile(filepath.Join(app, "go"), []byte("swapped"), 0o644),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		want := "until=/in/log:log: log\nuntil=/in/go:swapped: swapped\nread=/in/deep/secret: no\nlist=/in/deep: no\nread=/in/log: log\nmore\nread=/in/new: new\nuntil=/one:more: log more\n"
		if got := read(t, tk.Stdout); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// A mount that is not what it was said to be fails on this machine, and no job
// is blamed.
func TestMountsThatCannotBeOpened(t *testing.T) {
	x := open(t, Config{Wazero: true})
	top, _ := live(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(top, link); err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]executor.Mount{
		"folder that is a link": {Host: link, Sub: "."},
		"link out":              {Host: top, Sub: "app/dir"},
		"link in":               {Host: top, Sub: "app/within"},
		"behind a link out":     {Host: top, Sub: "app/dir/secret"},
		"above":                 {Host: top, Sub: "../secret"},
		"missing":               {Host: top, Sub: "app/missing"},
		"folder is gone":        {Host: top + "x", Sub: "."},
		"FIFO":                  {Host: top, Sub: "app/fifo"},
		"below a file":          {Host: top, Sub: "above/x"},
	} {
		tk := task(t, guests.Go(t, "testdata/mounts"), "list=/in")
		m.Guest = "/in"
		tk.Mounts = []executor.Mount{m}
		if r, err := x.Run(t.Context(), tk); err == nil || !strings.Contains(err.Error(), "opening the mounts") {
			t.Errorf("%s: got %+v, error %v", name, r, err)
		}
	}
}
