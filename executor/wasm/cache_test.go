package wasm

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

func TestPagesFor(t *testing.T) {
	const mib = 1 << 20
	for limit, want := range map[job.Bytes]uint32{
		0: 4096, 1: 1, pageSize: 1, pageSize + 1: 2, mib: 16, 256 * mib: 4096, 512 * mib: 8192, 384 * mib: 6144,
		300 * mib: 320 * 16, 257 * mib: 320 * 16, 3 << 30: 48 << 10, 4 << 30: maxPages, 1 << 40: maxPages,
	} {
		if got := pagesFor(limit); got != want {
			t.Errorf("%d bytes: %d pages, want %d", limit, got, want)
		}
	}
}

// exits runs a module that ends with code 5.
func exits(t *testing.T, x *Executor, path string) {
	t.Helper()
	r, err := x.Run(t.Context(), task(t, path))
	if err != nil || r.Exit != 5 {
		t.Fatalf("got %+v, error %v", r, err)
	}
}

// entries are the files of compiled code.
func entries(t *testing.T, x *Executor) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(x.cfg.Dir, "cache", "wasm", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, dir := range dirs {
		e := compiled{dir: dir}
		if err := e.find(); err != nil {
			t.Fatal(err)
		}
		files = append(files, e.file)
	}
	return files
}

func TestCacheOutlivesTheProcess(t *testing.T) {
	path := save(t, program(0x41, 5, 0x10, 0))
	both(t, func(t *testing.T, x *Executor) {
		exits(t, x, path)
		before, err := identify(entries(t, x)[0])
		if err != nil {
			t.Fatal(err)
		}
		again := reopen(t, x.cfg)
		exits(t, again, path)
		files := entries(t, again)
		if after, err := identify(files[0]); err != nil || after != before || len(files) != 1 {
			t.Errorf("it was compiled again: %v, error %v", files, err)
		}
	})
}

// Damaged native code must never be loaded.
func TestDamagedCodeIsCompiledAnew(t *testing.T) {
	path := save(t, program(0x41, 5, 0x10, 0))
	both(t, func(t *testing.T, x *Executor) {
		exits(t, x, path)
		for _, damage := range []func(file string) error{
			func(file string) error {
				b, err := os.ReadFile(file)
				b[len(b)/2] ^= 0xff
				return errors.Join(err, os.WriteFile(file, b, 0o600))
			},
			func(file string) error { return os.Truncate(file, 10) },
			os.Remove,
			func(file string) error { return os.WriteFile(file+"x", nil, 0o600) },
		} {
			if err := damage(entries(t, x)[0]); err != nil {
				t.Fatal(err)
			}
			again := reopen(t, x.cfg)
			exits(t, again, path)
		}
		// Also under a process that has found it right before.
		if err := os.WriteFile(entries(t, x)[0], []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		exits(t, x, path)
	})
}

func TestCacheEvicts(t *testing.T) {
	x := open(t, Config{Wazero: true, CacheSize: 1})
	for i := range 3 {
		nops := bytes.Repeat([]byte{0x01}, i)
		exits(t, x, save(t, program(append(nops, 0x41, 5, 0x10, 0)...)))
		if files := entries(t, x); len(files) != 1 {
			t.Errorf("after %d modules it keeps %q", i+1, files)
		}
	}
}

func TestFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		var runs atomic.Int32
		release := make(chan struct{})
		work := func(ctx context.Context) error {
			runs.Add(1)
			select {
			case <-release:
				return errors.New("result")
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		gone, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() {
				ctx, want := t.Context(), "result"
				if i == 0 {
					ctx, want = gone, "context canceled"
				}
				if err := f.once(ctx, "key", work); err == nil || err.Error() != want {
					t.Errorf("caller %d: got %v, want %s", i, err, want)
				}
			})
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		close(release)
		all.Wait()
		if runs.Load() != 1 {
			t.Errorf("it ran %d times for 5 callers", runs.Load())
		}

		// When every caller has gone the work is cancelled and has ended.
		ended := false
		gone, leave = context.WithCancel(t.Context())
		go func() { synctest.Wait(); leave() }()
		err := f.once(gone, "other", func(ctx context.Context) error {
			<-ctx.Done()
			ended = true
			return ctx.Err()
		})
		if !errors.Is(err, context.Canceled) || !ended || len(f.live) != 0 {
			t.Errorf("got %v, ended %v, %d still live", err, ended, len(f.live))
		}
	})
}

// packed is what build-runner.sh leaves, with other content.
func packed(t *testing.T, content string) fstest.MapFS {
	t.Helper()
	files, sums := fstest.MapFS{}, ""
	for _, name := range []string{runnerFile, libraryFile} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		fmt.Fprint(z, content+name)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		files["embedded/"+name+".gz"] = &fstest.MapFile{Data: b.Bytes()}
		sums += fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(content+name)), name)
	}
	files["embedded/SHA256SUMS"] = &fstest.MapFile{Data: []byte(sums)}
	return files
}

func TestUnpack(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "bin")
	files := packed(t, "a")
	dir, err := unpack(files, bin)
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range []func() error{
		func() error { return nil },
		func() error { return os.WriteFile(filepath.Join(dir, runnerFile), []byte("damaged"), 0o700) },
		func() error { return os.Remove(filepath.Join(dir, libraryFile)) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		again, err := unpack(files, bin)
		if err != nil || again != dir || read(t, filepath.Join(dir, runnerFile)) != "awasm-runner" || read(t, filepath.Join(dir, libraryFile)) != "alibwasmer.so" {
			t.Errorf("unpacked to %s, then %s; error %v", dir, again, err)
		}
	}
	fi, err := os.Stat(filepath.Join(dir, runnerFile))
	if err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("got %v, error %v", fi.Mode(), err)
	}
	foreign := []string{"0123", "0123456789abcdeg", ".x"}
	for _, name := range append(foreign, ".unpack-1") {
		write(t, filepath.Join(bin, name, "file"), "")
	}
	other, err := unpack(packed(t, "b"), bin)
	if err != nil || other == dir {
		t.Errorf("another version went to %s, error %v", other, err)
	}
	// The old one has gone, and nothing that is not ours.
	list, err := os.ReadDir(bin)
	if err != nil || len(list) != len(foreign)+1 {
		t.Errorf("there is %v, error %v; want %s and %q", list, err, filepath.Base(other), foreign)
	}
	wrong := packed(t, "c")
	wrong["embedded/SHA256SUMS"] = files["embedded/SHA256SUMS"]
	if _, err := unpack(wrong, t.TempDir()); !errors.Is(err, errSum) {
		t.Errorf("with wrong sums: %v", err)
	}
}

// Where Wasmer's runner does not start, wazero takes over.
func TestFallsBackToWazero(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, runnerFile), "#!/bin/sh\necho no such library >&2; exit 1\n")
	write(t, filepath.Join(dir, libraryFile), "")
	if err := os.Chmod(filepath.Join(dir, runnerFile), 0o700); err != nil {
		t.Fatal(err)
	}
	x := open(t, Config{Runner: dir})
	if err := x.test(t.Context(), x.current()); err == nil || !strings.Contains(err.Error(), "no such library") {
		t.Errorf("got %v, want what the runner said", err)
	}
	if err := x.SelfTest(t.Context()); err != nil || !strings.HasPrefix(x.Engine(), "wazero ") {
		t.Errorf("got %v with %s", err, x.Engine())
	}
}

func TestSelfTest(t *testing.T) {
	both(t, func(t *testing.T, x *Executor) {
		name := x.Engine()
		if err := x.SelfTest(t.Context()); err != nil || x.Engine() != name {
			t.Errorf("got %v, and %s became %s", err, name, x.Engine())
		}
		ended, stop := context.WithCancel(t.Context())
		stop()
		if err := x.SelfTest(ended); !errors.Is(err, context.Canceled) || x.Engine() != name {
			t.Errorf("with a context that has ended: %v, %s", err, x.Engine())
		}
	})
}
