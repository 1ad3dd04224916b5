package storage

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lock holds a store's folder for one Store. The kernel lets go of it when the
// process ends in whatever way, so a file that lies there means nothing.
type lock struct{ f *os.File }

// takeLock takes the lock or returns a LockedError at once.
func takeLock(file string) (*lock, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the store's lock file: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &LockedError{File: file, PID: holder(f)}
		}
		return nil, fmt.Errorf("locking %s: %w", file, err)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("writing %s: %w", file, err)
	}
	return &lock{f}, nil
}

// holder reads the ID of the process that wrote the lock file.
func holder(f *os.File) int {
	buf := make([]byte, 32)
	n, _ := f.ReadAt(buf, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		return 0
	}
	return pid
}

// release gives the folder free. The file stays: removing it would race with
// the next holder.
func (l *lock) release() error { return l.f.Close() }
