package executor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const modulesDir = ".modules"

// clear removes what earlier runs left, but for the logs of their attempts.
func (r *Runner) clear() error {
	list, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	for _, d := range list {
		path := filepath.Join(r.dir, d.Name())
		if !d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			err = errors.Join(err, os.RemoveAll(path))
			continue
		}
		err = errors.Join(err, strip(path))
	}
	return errors.Join(err, r.kept.load(r.dir))
}

// strip removes all but the logs of an attempt's folder.
func strip(dir string) error {
	list, err := os.ReadDir(dir)
	for _, d := range list {
		if d.Name() != Stdout && d.Name() != Stderr {
			err = errors.Join(err, removeAll(filepath.Join(dir, d.Name())))
		}
	}
	return err
}

// removeAll removes a tree even where its folders are read-only, as folders of
// a store may be.
func removeAll(path string) error {
	if os.RemoveAll(path) == nil {
		return nil
	}
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(p, 0o700) // what stays closed is reported below
		}
		return nil
	})
	return os.RemoveAll(path)
}

// oddFile finds something in a tree that is neither a file nor a folder, and
// names it relative to the tree; "" if there is nothing.
func oddFile(dir string) (string, error) {
	odd := ""
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && !d.Type().IsRegular() {
			odd, _ = filepath.Rel(dir, path)
			return fs.SkipAll
		}
		return nil
	})
	return odd, err
}
