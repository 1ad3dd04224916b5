package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"
)

// smallDiskOf mounts a disk of its own of that many bytes.
func smallDiskOf(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount("shoal-test", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
	if errors.Is(err, unix.EPERM) {
		t.Skip("only root can mount a disk to fill; TestFullDisk fills one that a test makes up")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes a file that takes all that is free on a disk.
func fill(t *testing.T, dir string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return f.Name()
}

// A disk that is really full, and not only short of what is left to others.
func TestRealFullDisk(t *testing.T) {
	p, far := newHost(t), newPeer(t)
	disk := smallDiskOf(t, 16<<20)
	p.dir = filepath.Join(disk, "ipfs")
	p.open(t)
	noSpare := func() { p.repo.room.disk = func() (int64, int64, error) { return 1 << 40, 1 << 40, nil } }
	noSpare()
	connect(t, p, far)
	kept := mustPut(t, p.Store, random(t, 3<<20))
	cached := mustPut(t, p.Store, random(t, 3<<20))
	mustUnpin(t, p.Store, cached)
	there := mustPut(t, far.Store, random(t, 4<<20))
	filler := fill(t, disk)
	before, pins := p.onDisk(t), p.pins(t)
	for name, call := range map[string]func() error{
		"put":   func() error { _, _, err := p.Put(t.Context(), random(t, 2<<20), ""); return err },
		"small": func() error { _, _, err := p.Put(t.Context(), random(t, 10), ""); return err },
		"add":   func() error { _, err := p.Add(t.Context(), archive(t, entries(300)...), ""); return err },
		"fetch": func() error { return p.Fetch(t.Context(), there, filepath.Join(t.TempDir(), "out")) },
		"pin":   func() error { _, err := p.Pin(t.Context(), there, "there"); return err },
		"again": func() error { _, err := p.Pin(t.Context(), kept, "another name"); return err },
	} {
		err := call()
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), p.dir) || !strings.Contains(err.Error(), "free space on it") {
			t.Errorf("%s: %v", name, err)
		}
		if now := p.onDisk(t); !slices.Equal(now, before) {
			t.Errorf("%s: %d files, %d before", name, len(now), len(before))
		}
		if now := p.pins(t); !slices.Equal(now, pins) {
			t.Errorf("%s: the pins are %v, and were %v", name, now, pins)
		}
	}
	// What is kept can be read, and the store can make room by itself.
	if err := p.Fetch(t.Context(), kept, filepath.Join(t.TempDir(), "out")); err != nil {
		t.Error(err)
	}
	if got, err := p.Collect(t.Context(), false); err != nil || got.Bytes < 3<<20 {
		t.Errorf("collected %+v, %v", got, err)
	}
	if _, _, err := p.Put(t.Context(), random(t, 1<<20), "after"); err != nil {
		t.Errorf("after garbage was collected: %v", err)
	}
	// A store that is opened on a full disk works as well as it can, or says why not.
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	filler = fill(t, disk)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), p.config(), zaptest.NewLogger(t)); err == nil {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	} else if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), disk) || !strings.Contains(err.Error(), "free space") {
		t.Errorf("opened on a full disk: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	p.open(t)
	noSpare()
	if err := p.Fetch(t.Context(), kept, filepath.Join(t.TempDir(), "out")); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if now := p.pins(t); len(now) != 2 {
		t.Errorf("the pins are %v", now)
	}
}

// A home that cannot be written, or is no folder, is named.
func TestFolderThatCannotBeUsed(t *testing.T) {
	p := newHost(t)
	inTheWay := write(t, filepath.Join(t.TempDir(), "file"), "")
	p.dir = filepath.Join(inTheWay, "ipfs")
	if _, err := Open(t.Context(), p.config(), zaptest.NewLogger(t)); err == nil || !strings.Contains(err.Error(), inTheWay) {
		t.Errorf("below a file: %v", err)
	}
	p.dir = inTheWay
	if _, err := Open(t.Context(), p.config(), zaptest.NewLogger(t)); err == nil || !strings.Contains(err.Error(), inTheWay) {
		t.Errorf("in place of a folder: %v", err)
	}
	disk := smallDiskOf(t, 1<<20)
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	p.dir = filepath.Join(disk, "ipfs")
	if _, err := Open(t.Context(), p.config(), zaptest.NewLogger(t)); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), disk) {
		t.Errorf("on a disk that is read-only: %v", err)
	}
}
