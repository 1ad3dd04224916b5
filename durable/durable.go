// Package durable keeps small files that must outlive a power cut and that nobody
// but their owner may read: keys, and what a node is to know again after a restart.
//
//	err := durable.Create(path, key)       // never over one that is there
//	err := durable.Replace(path, list)     // over the old one, or not at all
//	key, err := durable.ReadSecret(path, "swarm key", limit)
//
// Files have mode 0600. When Create or Replace returns without error, the file is
// whole and on the disk; after an error or a crash it is as it was before.
package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ReadSecret reads a file of at most limit bytes that only its owner may read. what
// names it in errors. A missing file is fs.ErrNotExist.
func ReadSecret(path, what string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the %s: %w", what, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the %s: %w", what, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s %s is not a regular file: move it away", what, path)
	}
	if mode := info.Mode().Perm(); mode&^0o600 != 0 {
		return nil, fmt.Errorf("%s %s has mode %#o, wider than 0600: others may have read it; if none did, run: chmod 600 %s", what, path, mode, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the %s %s: %w", what, path, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s %s is damaged: it is longer than %d bytes", what, path, limit)
	}
	return data, nil
}

// Create writes a new file. Where one is there already, that one stays and the error
// is fs.ErrExist: of several that create it at once, one does.
func Create(path string, data []byte) error {
	// A hard link, unlike a rename, fails where the name is taken.
	return write(path, data, os.Link)
}

// Replace writes a file over the one that is there, if any, unless that says the
// same already.
func Replace(path string, data []byte) error {
	old, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(old, data):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return write(path, data, os.Rename)
}

// write writes a file beside path and has put bring it there.
func write(path string, data []byte, put func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // a rename has left nothing there
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := put(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
