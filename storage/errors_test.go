package storage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Callers that do not import this package tell content that no node would take
// from a store that does not work.
func TestRefusedIsMarked(t *testing.T) {
	p := newPeer(t)
	p.entries = 10
	for name, make := range map[string]func(dir string) error{
		"pipe": func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "x"), 0o600) },
		"deep": func(dir string) error {
			return os.MkdirAll(filepath.Join(dir, strings.Repeat("d/", maxDepth+1)), 0o700)
		},
		"many": func(dir string) error {
			var err error
			for _, c := range "abcdefghij" {
				err = errors.Join(err, os.WriteFile(filepath.Join(dir, string(c)), nil, 0o600))
			}
			return err
		},
	} {
		dir := t.TempDir()
		if err := make(dir); err != nil {
			t.Fatal(err)
		}
		_, _, err := p.Put(t.Context(), dir, "")
		var marked interface{ Refused() bool }
		if !errors.As(err, &marked) || !marked.Refused() {
			t.Errorf("%s: got %v, which is not marked", name, err)
		}
	}
	_, _, err := p.Put(t.Context(), filepath.Join(t.TempDir(), "none"), "")
	var marked interface{ Refused() bool }
	if err == nil || errors.As(err, &marked) {
		t.Errorf("a file that is not there: got %v", err)
	}
}
