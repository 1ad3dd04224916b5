package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// maxSocketPath is the longest path of a unix socket, in bytes: the kernel has
// room for 108 with the zero at the end.
const maxSocketPath = 107

// ListenSocket listens on a unix socket at path that only this user can open
// (mode 0600, from the first moment). A socket that a dead node left there is
// replaced; one on which somebody answers is not, nor is anything else that is
// no socket. Closing the listener removes the socket.
//
// It does not guard against two callers at the same moment; the home's lock
// does.
func ListenSocket(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, Errorf(CodeInvalid, "the path of the socket %s has %d bytes and %d are the most that the system takes: choose a shorter home, with --home or SHOAL_HOME", path, len(path), maxSocketPath)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// Where the system lets us say the mode before the socket has a name
		// (Linux does), nobody ever sees it with another.
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
	}}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening on the socket %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("closing the socket %s to others: %w", path, err), l.Close())
	}
	return l, nil
}

// removeStale makes way at path if what is there is a socket without a listener.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("looking at the socket %s: %w", path, err)
	case info.Mode().Type() != fs.ModeSocket:
		return Errorf(CodeConflict, "%s is in the way: the node wants its socket there and this is none; move it, or choose another home", path)
	}
	conn, err := net.DialTimeout("unix", path, 2*time.Second)
	switch {
	case err == nil:
		_ = conn.Close()
		return Errorf(CodeConflict, "a node answers at %s already: stop it, or give this one its own home with --home", path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		// Full, forbidden, slow: somebody may be there.
		return fmt.Errorf("finding out whether a node answers at %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the socket that a dead node left: %w", err)
	}
	return nil
}
