// Package storagetest holds what tests of stores need: a conformance suite for
// every store, and a store in memory for the tests of those who use one.
//
//	storagetest.Test(t, func(t *testing.T) storagetest.Storer { return storagetest.New() })
//
// Several peers of a test share content by sharing one [Store].
package storagetest

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Storer is what the suite needs of a store.
type Storer interface {
	Fetch(ctx context.Context, ref, dst string) error
	Put(ctx context.Context, path, pin string) (cid string, size int64, err error)
}

// Test checks that a store keeps what it promises. newStore is called for every
// part with an empty store to return; it cleans up with t.Cleanup.
func Test(t *testing.T, newStore func(t *testing.T) Storer) {
	for name, part := range map[string]func(*testing.T, Storer){
		"round trip":             roundTrip,
		"sub path":               subPath,
		"content alone counts":   contentAlone,
		"links are not followed": linksStay,
		"refuses":                refuses,
		"destination exists":     destinationExists,
		"no such thing":          noSuchThing,
		"no reference":           noReference,
		"canceled":               canceled,
	} {
		t.Run(name, func(t *testing.T) { part(t, newStore(t)) })
	}
}

// unknownCID is the CID of something that nobody wrote.
const unknownCID = "bafkreidon73zkcrwdb5iafqtijxildoonbwnpv7dyd6ef3qdgads2jc4su"

func roundTrip(t *testing.T, s Storer) {
	for name, make := range Trees() {
		t.Run(name, func(t *testing.T) {
			src := filepath.Join(t.TempDir(), "it")
			make(t, src)
			cid, size := put(t, s, src)
			want := Read(t, src)
			if sum := want.bytes(); size < sum || want.isFile() && size != sum {
				t.Errorf("size %d, and there are %d bytes", size, sum)
			}
			for _, ref := range []string{cid, "ipfs://" + cid, "/ipfs/" + cid, "ipfs://" + cid + "/"} {
				dst := filepath.Join(t.TempDir(), "out")
				fetch(t, s, ref, dst)
				want.Same(t, Read(t, dst))
				onlyEntry(t, dst)
			}
		})
	}
}

func subPath(t *testing.T, s Storer) {
	src := filepath.Join(t.TempDir(), "it")
	write(t, filepath.Join(src, "a", "b c", "deep"), "deep")
	cid, _ := put(t, s, src)
	dst := filepath.Join(t.TempDir(), "out")
	fetch(t, s, "ipfs://"+cid+"/a/b c", dst)
	Read(t, filepath.Join(src, "a", "b c")).Same(t, Read(t, dst))
	for _, path := range []string{"/a/none", "/a/b c/deep/below"} {
		dst := filepath.Join(t.TempDir(), "none")
		if err := s.Fetch(t.Context(), cid+path, dst); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: want fs.ErrNotExist, got %v", path, err)
		}
		absent(t, dst)
	}
}

func contentAlone(t *testing.T, s Storer) {
	one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	write(t, filepath.Join(one, "x"), "same")
	write(t, filepath.Join(two, "x"), "same")
	if err := os.Chmod(filepath.Join(two, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	first, _ := put(t, s, one)
	if again, _ := put(t, s, two); first != again {
		t.Errorf("the same content has the CIDs %s and %s", first, again)
	}
	write(t, filepath.Join(two, "x"), "other")
	if other, _ := put(t, s, two); first == other {
		t.Errorf("different content has the same CID %s", first)
	}
}

func linksStay(t *testing.T, s Storer) {
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "secret")
	src := filepath.Join(t.TempDir(), "it")
	write(t, filepath.Join(src, "dir", "file"), "x")
	for name, target := range map[string]string{
		"out": secret, "up": "../../..", "in": "dir/file", "folder": "dir", "dangling": "nothing here", "loop": "loop",
	} {
		symlink(t, target, filepath.Join(src, name))
	}
	cid, _ := put(t, s, src)
	dst := filepath.Join(t.TempDir(), "out")
	fetch(t, s, cid, dst)
	Read(t, src).Same(t, Read(t, dst))

	if err := s.Fetch(t.Context(), cid+"/folder/file", filepath.Join(t.TempDir(), "through")); err == nil {
		t.Error("a path through a link was followed")
	}
	cid, _ = put(t, s, filepath.Join(src, "out"))
	dst = filepath.Join(t.TempDir(), "link")
	fetch(t, s, cid, dst)
	if got := Read(t, dst); got["."] != "link "+secret {
		t.Errorf("a link came back as %q", got["."])
	}
}

func refuses(t *testing.T, s Storer) {
	for name, make := range map[string]func(path string) error{
		"pipe": func(path string) error { return unix.Mkfifo(path, 0o600) },
		"setuid": func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o700), os.Chmod(path, 0o700|fs.ModeSetuid))
		},
		"setgid": func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o700), os.Chmod(path, 0o700|fs.ModeSetgid))
		},
		"socket": func(path string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		},
	} {
		dir, err := os.MkdirTemp("", "") // the name of a socket has to be short
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		bad := filepath.Join(dir, "bad")
		if err := make(bad); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, path := range []string{bad, dir} {
			if cid, _, err := s.Put(t.Context(), path, ""); err == nil {
				t.Errorf("%s: stored as %s", name, cid)
			} else if !strings.Contains(err.Error(), bad) {
				t.Errorf("%s: the error does not name %s: %v", name, bad, err)
			}
		}
	}
	for _, path := range []string{"/dev/null", filepath.Join(t.TempDir(), "nothing")} {
		if cid, _, err := s.Put(t.Context(), path, ""); err == nil {
			t.Errorf("%s: stored as %s", path, cid)
		}
	}
}

func destinationExists(t *testing.T, s Storer) {
	src := filepath.Join(t.TempDir(), "it")
	write(t, src, "new")
	cid, _ := put(t, s, src)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "old")
	write(t, filepath.Join(dir, "folder", "file"), "old")
	symlink(t, "nowhere", filepath.Join(dir, "dangling"))
	symlink(t, "file", filepath.Join(dir, "link"))
	before := Read(t, dir)
	for _, name := range []string{"file", "folder", "dangling", "link"} {
		if err := s.Fetch(t.Context(), cid, filepath.Join(dir, name)); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: want fs.ErrExist, got %v", name, err)
		}
	}
	if err := s.Fetch(t.Context(), cid, filepath.Join(dir, "none", "file")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder to write in: want fs.ErrNotExist, got %v", err)
	}
	before.Same(t, Read(t, dir))
}

func noSuchThing(t *testing.T, s Storer) {
	dst := filepath.Join(t.TempDir(), "out")
	err := s.Fetch(t.Context(), "ipfs://"+unknownCID, dst)
	var missing interface{ NotFound() bool }
	if !errors.As(err, &missing) || !missing.NotFound() {
		t.Errorf("want an error with NotFound, got %v", err)
	} else if !strings.Contains(err.Error(), unknownCID) {
		t.Errorf("the error does not name the CID: %v", err)
	}
	absent(t, dst)
}

func noReference(t *testing.T, s Storer) {
	for _, ref := range []string{"", "ipfs://", "books", "https://example.com/x", "/etc/passwd", "ipfs://" + unknownCID + "/../x", unknownCID[:20]} {
		dst := filepath.Join(t.TempDir(), "out")
		if err := s.Fetch(t.Context(), ref, dst); err == nil {
			t.Errorf("%q was fetched", ref)
		}
		absent(t, dst)
	}
}

func canceled(t *testing.T, s Storer) {
	src := filepath.Join(t.TempDir(), "it")
	write(t, src, "x")
	cid, _ := put(t, s, src)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dst := filepath.Join(t.TempDir(), "out")
	if err := s.Fetch(ctx, cid, dst); !errors.Is(err, context.Canceled) {
		t.Errorf("Fetch: want context.Canceled, got %v", err)
	}
	absent(t, dst)
	if _, _, err := s.Put(ctx, src, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: want context.Canceled, got %v", err)
	}
}
