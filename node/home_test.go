package node

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shoal-mesh/shoal/p2p"
)

// A home that cannot be used stops the node with a message that names the file, and
// nothing in it is changed.
func TestHomesThatAreRefused(t *testing.T) {
	t.Parallel()
	whole := t.TempDir()
	if _, err := p2p.LoadIdentity(filepath.Join(whole, "identity.key")); err != nil {
		t.Fatal(err)
	}
	key, err := p2p.NewSwarmKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Save(filepath.Join(whole, "swarm.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(whole, "token"), []byte("shoal1-a-token-of-this-swarm\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		file string
		mode os.FileMode
		make func(whole []byte) []byte
		says []string
	}{
		{"identity that others may read", "identity.key", 0o644, nil, []string{"mode 0644", "chmod 600"}},
		{"identity that is cut", "identity.key", 0o600, func(b []byte) []byte { return b[:40] }, []string{"damaged", "backup"}},
		{"identity of nothing", "identity.key", 0o600, func([]byte) []byte { return nil }, []string{"damaged"}},
		{"identity of another kind", "identity.key", 0o600, func([]byte) []byte { return []byte("-----BEGIN OPENSSH PRIVATE KEY-----\n") }, []string{"damaged"}},
		{"swarm key that a group may read", "swarm.key", 0o640, nil, []string{"mode 0640", "chmod 600"}},
		{"swarm key that is cut", "swarm.key", 0o600, func(b []byte) []byte { return b[:len(b)-9] }, []string{"damaged", "copy it again"}},
		{"swarm key that is too long", "swarm.key", 0o600, func(b []byte) []byte { return append(b[:len(b)-1], "00\n"...) }, []string{"damaged"}},
		{"token that others may read", "token", 0o644, nil, []string{"mode 0644", "chmod 600"}},
		{"token that a group may read", "token", 0o640, nil, []string{"mode 0640", "chmod 600"}},
		{"token that is a book", "token", 0o600, func([]byte) []byte { return make([]byte, tokenLimit+1) }, []string{"damaged"}},
		{"swarm key and a line more", "swarm.key", 0o600, func(b []byte) []byte { return append(b, "more\n"...) }, []string{"damaged"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			home := t.TempDir()
			if err := os.CopyFS(home, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(home, c.file)
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if c.make != nil {
				data = c.make(data)
			}
			// The copy has a mode of its own.
			err = os.WriteFile(file, data, 0o600)
			for _, secret := range []string{"identity.key", "token"} {
				err = errors.Join(err, os.Chmod(filepath.Join(home, secret), 0o600))
			}
			if err := errors.Join(err, os.Chmod(file, c.mode)); err != nil {
				t.Fatal(err)
			}
			_, err = tryStart(t, Config{Home: home, Private: true})
			if err == nil {
				t.Fatal("it started")
			}
			for _, s := range append(c.says, file) {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("the error does not say %q: %v", s, err)
				}
			}
			if left, err := os.ReadFile(file); err != nil || string(left) != string(data) {
				t.Errorf("the file was changed: %v", err)
			}
			if n := len(data); n > 0 && strings.Contains(err.Error(), strings.TrimSpace(string(data[n-min(n, 20):]))) {
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
	t.Run("a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "home")
		if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, home := range []string{file, filepath.Join(file, "below")} {
			if _, err := tryStart(t, Config{Home: home}); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "--home") {
				t.Errorf("%s: %v", home, err)
			}
		}
	})
}

// A folder of somebody else's.
func TestHomeThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(dir, 0o555), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	err := asNobody(func() error { _, err := openHome(dir); return err })
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), dir+" cannot be written") || !strings.Contains(err.Error(), "--home") {
		t.Errorf("%v", err)
	}
	err = asNobody(func() error { _, err := openHome(filepath.Join(dir, "deep", "home")); return err })
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "--home") {
		t.Errorf("%v", err)
	}
}

// A home to which others can write is theirs: they can put their keys into it.
func TestHomeThatOthersCanWrite(t *testing.T) {
	t.Parallel()
	for mode, ok := range map[os.FileMode]bool{0o700: true, 0o750: true, 0o755: true, 0o770: false, 0o775: false, 0o702: false, 0o777: false} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		h, err := openHome(dir)
		switch {
		case err == nil:
			if err := h.Close(); err != nil {
				t.Error(err)
			}
			if !ok {
				t.Errorf("mode %#o is taken", mode)
			}
		case ok:
			t.Errorf("mode %#o: %v", mode, err)
		case !strings.Contains(err.Error(), "chmod go-w "+dir) || !strings.Contains(err.Error(), "--home"):
			t.Errorf("mode %#o: the error does not say what to do: %v", mode, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "lock")); !ok && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("mode %#o: the home was written to: %v", mode, err)
		}
	}
}

// asNobody runs f as a user for whom the modes of files count, which they do not
// for root.
func asNobody(f func() error) error {
	if os.Geteuid() != 0 {
		return f()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread ends with this goroutine
		if _, err := unix.SetfsuidRetUid(65534); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// On a full disk everything that a start writes first fails by name, leaves nothing
// half written, and works once there is room.
func TestHomeOnAFullDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a file system that is full takes root to mount")
	}
	dir := t.TempDir()
	done := make(chan error)
	go func() { done <- onFullDisk(t, dir) }()
	if err := <-done; errors.Is(err, unix.EPERM) {
		t.Skip("this root may not mount a file system to fill")
	} else if err != nil {
		t.Fatal(err)
	}
}

// onFullDisk sees, in its thread alone, a small file system at dir, and fills it.
func onFullDisk(t *testing.T, dir string) error {
	runtime.LockOSThread()
	for _, step := range []func() error{
		func() error { return unix.Unshare(unix.CLONE_NEWNS) },
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount("shoal-test", dir, "tmpfs", 0, "size=64k,mode=0700") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	h := &home{dir: dir}
	key, err := p2p.NewSwarmKey()
	if err != nil {
		return err
	}
	steps := []struct {
		file string
		do   func() error
	}{
		{"lock", func() error {
			h, err := openHome(dir)
			if err == nil {
				err = h.Close()
			}
			return err
		}},
		{"identity.key", func() error { _, err := p2p.LoadIdentity(h.path("identity.key")); return err }},
		{"swarm.key", func() error { return key.Save(h.path("swarm.key")) }},
		{"boot", func() error { _, err := h.nextBoot(); return err }},
	}
	ballast := h.path("ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		return errors.Join(errors.New("the disk is not full"), err)
	}
	for _, s := range steps {
		if err := s.do(); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), s.file) {
			t.Errorf("%s on a full disk: %v", s.file, err)
		}
		if left, _ := os.ReadFile(h.path(s.file)); len(left) > 0 {
			t.Errorf("%s is left with %d bytes", s.file, len(left))
		}
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Errorf("%s with room: %v", s.file, err)
		}
	}
	if left, _ := filepath.Glob(h.path(".*")); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
	return nil
}
