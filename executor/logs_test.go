package executor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// logs makes a folder for each of n attempts, in that of owner, and adds them.
func logs(t *testing.T, k *keptLogs, owner string, n int) {
	t.Helper()
	for i := range n {
		path := filepath.Join(owner, fmt.Sprintf("job.0.%d", i))
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := k.add(path); err != nil {
			t.Fatal(err)
		}
	}
}

func count(t *testing.T, dir string) int {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return len(list)
}

func TestOldLogsGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	owner := filepath.Join(dir, "owner")
	var k keptLogs
	logs(t, &k, owner, maxKeptLogs+3)
	k.forget(filepath.Join(owner, "job.0.5"))
	if n := count(t, owner); n != maxKeptLogs || len(k.list) != maxKeptLogs-1 {
		t.Errorf("%d folders and %d known", n, len(k.list))
	}
	if _, err := os.Stat(filepath.Join(owner, "job.0.2")); !os.IsNotExist(err) {
		t.Errorf("an old one is still there (%v)", err)
	}
	var again keptLogs
	if err := again.load(dir); err != nil || len(again.list) != maxKeptLogs {
		t.Errorf("found %d again, error %v", len(again.list), err)
	}
}

// A peer with many attempts pushes out its own logs, not those of others.
func TestLogsOfOthersStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	few, many := filepath.Join(dir, "few"), filepath.Join(dir, "many")
	var k keptLogs
	logs(t, &k, few, 3)
	logs(t, &k, many, maxKeptLogs+10)
	if count(t, few) != 3 || count(t, many) != maxKeptLogs-3 {
		t.Errorf("it keeps %d and %d", count(t, few), count(t, many))
	}

	// Also of bytes.
	k = keptLogs{}
	big := func(owner, name string) {
		path := filepath.Join(dir, owner, name)
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(path, Stdout))
		if err == nil {
			err = errors.Join(f.Truncate(maxKeptBytes*2/5), f.Close())
		}
		if err := errors.Join(err, k.add(path)); err != nil {
			t.Fatal(err)
		}
	}
	big("one", "a.0.1")
	big("two", "a.0.1")
	big("two", "a.0.2")
	if count(t, filepath.Join(dir, "one")) != 1 || count(t, filepath.Join(dir, "two")) != 1 || k.bytes > maxKeptBytes {
		t.Errorf("it keeps %d and %d, of %d bytes", count(t, filepath.Join(dir, "one")), count(t, filepath.Join(dir, "two")), k.bytes)
	}
	if k.list[1].dir != filepath.Join(dir, "two", "a.0.2") {
		t.Errorf("it keeps %s", k.list[1].dir)
	}
}

func TestModulesGoOutOfUse(t *testing.T) {
	t.Parallel()
	m := &modules{refs: map[string]*module{}}
	for i := range maxModules + 2 {
		mod := &module{path: filepath.Join(t.TempDir(), "none"), size: 1}
		m.refs[fmt.Sprint(i)] = mod
		m.evict(mod)
	}
	if len(m.refs) != maxModules {
		t.Errorf("it keeps %d modules", len(m.refs))
	}
}
