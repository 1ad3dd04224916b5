package api

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSocketIsTheOwners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	l, err := ListenSocket(path)
	wantNo(t, err)
	info, err := os.Stat(path)
	wantNo(t, err)
	if got := info.Mode(); got != os.ModeSocket|0o600 {
		t.Errorf("mode %s", got)
	}
	wantNo(t, l.Close())
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("closing left the socket: %v", err)
	}
}

func TestSocketOfADeadNodeIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	dead, err := net.Listen("unix", path)
	wantNo(t, err)
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	wantNo(t, dead.Close())
	l, err := ListenSocket(path)
	wantNo(t, err)
	defer l.Close()
	conn, err := net.Dial("unix", path)
	wantNo(t, err)
	wantNo(t, conn.Close())
}

func TestSocketInUseIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	l, err := ListenSocket(path)
	wantNo(t, err)
	defer l.Close()
	if _, err := ListenSocket(path); CodeOf(err) != CodeConflict || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	conn, err := net.Dial("unix", path)
	wantNo(t, err)
	wantNo(t, conn.Close())
}

func TestSocketNeverReplacesAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	wantNo(t, os.WriteFile(path, []byte("precious"), 0o600))
	if _, err := ListenSocket(path); CodeOf(err) != CodeConflict {
		t.Errorf("got %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestSocketPathTooLong(t *testing.T) {
	_, err := ListenSocket("/" + strings.Repeat("x", maxSocketPath))
	if CodeOf(err) != CodeInvalid || !strings.Contains(err.Error(), "--home") {
		t.Errorf("got %v", err)
	}
}
