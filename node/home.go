package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shoal-mesh/shoal/durable"
)

const tokenLimit = 4 << 10 // bytes; a token has some 200

// home is the folder of everything that a node keeps. One process uses it at a
// time: it holds a lock on the file `lock` until it ends, however it ends.
type home struct {
	dir  string
	lock *os.File
}

// SocketPath is where the node of a home answers its command line.
func SocketPath(dir string) string { return filepath.Join(dir, "api.sock") }

// openHome makes the folder if it is missing and locks it.
func openHome(dir string) (*home, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the home folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the home folder: %w; give another with --home", err)
	}
	if err := ownerWrites(dir); err != nil {
		return nil, err
	}
	h := &home{dir: dir}
	f, err := os.OpenFile(h.path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("home folder %s cannot be written: %w; mend its owner or give another with --home", dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		holder, _ := os.ReadFile(f.Name())
		return nil, fmt.Errorf("home %s is in use by process %s: stop that one first, or give this node its own with --home",
			dir, strings.TrimSpace(string(holder)))
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("home folder %s cannot be written: %w; make room there or give another with --home", dir, err)
		}
	}
	h.lock = f
	return h, nil
}

// ownerWrites fails if others than its owner can write to the home: they could put
// a key, a token or a socket of their own in the place of the node's, whatever the
// modes of those. That others can look into it, as into most of /var/lib, shows
// them names alone; what is secret has a mode of its own.
func ownerWrites(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("home folder %s cannot be read: %w; mend its owner or give another with --home", dir, err)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("home folder %s has mode %#o: others can write to it, and so replace this node's keys; run: chmod go-w %s, or give another with --home, such as %s, which the node makes",
			dir, mode, dir, filepath.Join(dir, "node"))
	}
	return nil
}

func (h *home) path(name ...string) string {
	return filepath.Join(append([]string{h.dir}, name...)...)
}

// nextBoot is a number that is larger at every start of the node. It is the time
// where the clock goes forward, and one more than the last where it does not:
// small machines begin in 1970 after a power cut.
func (h *home) nextBoot() (uint64, error) {
	file := h.path("boot")
	last := uint64(0)
	b, err := os.ReadFile(file)
	switch {
	case err == nil:
		if last, err = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err != nil {
			return 0, fmt.Errorf("%s is damaged: it holds no number; if this is the only node with this home's identity, remove the file", file)
		}
	case !errors.Is(err, os.ErrNotExist):
		return 0, fmt.Errorf("read the boot number: %w", err)
	}
	boot := max(last+1, uint64(time.Now().UnixNano()))
	if err := durable.Replace(file, fmt.Appendln(nil, boot)); err != nil {
		return 0, fmt.Errorf("write the boot number: %w", err)
	}
	return boot, nil
}

// token is the join token that the operator left in the home, "" if none. It opens
// the swarm to whoever reads it, so it is held to the mode of a key.
func (h *home) token() (string, error) {
	b, err := durable.ReadSecret(h.path("token"), "join token", tokenLimit)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(b)), err
}

// Close gives the home free. The lock file stays: removing it would race with
// the next start.
func (h *home) Close() error { return h.lock.Close() }
