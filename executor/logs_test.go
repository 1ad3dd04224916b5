package executor

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestOldLogsGo(t *testing.T) {
	dir := t.TempDir()
	var k keptLogs
	for i := range maxKeptLogs + 3 {
		path := filepath.Join(dir, fmt.Sprintf("job.0.%d", i))
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := k.add(path); err != nil {
			t.Fatal(err)
		}
	}
	k.forget(filepath.Join(dir, "job.0.5"))
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != maxKeptLogs || len(k.list) != maxKeptLogs-1 {
		t.Errorf("%d folders and %d known, error %v", len(list), len(k.list), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "job.0.2")); !os.IsNotExist(err) {
		t.Errorf("an old one is still there (%v)", err)
	}
	var again keptLogs
	if err := again.load(dir); err != nil || len(again.list) != maxKeptLogs {
		t.Errorf("found %d again, error %v", len(again.list), err)
	}
}

func TestModulesGoOutOfUse(t *testing.T) {
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
