package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Bounds of the work on a tree that a program made: it can nest folders without
// end, and put any number of entries into each.
const (
	maxDepth = 256  // folders in one another that are published
	cutDepth = 32   // and that are removed in one go: every step in one walks down to it
	batch    = 1024 // entries that are read at a time
)

// strip removes all but the logs of an attempt's folder.
func strip(dir string) error {
	list, err := os.ReadDir(dir)
	for _, d := range list {
		if d.Name() != Stdout && d.Name() != Stderr {
			err = errors.Join(err, RemoveAll(filepath.Join(dir, d.Name())))
		}
	}
	return err
}

// RemoveAll removes what is at path, if anything, like os.RemoveAll. It does so
// also where folders are read-only, as those of a store may be, and where they
// are nested deeper than this process may have files open. While it works, parts
// of a deep tree lie beside it, under its name with .deep-1 and so on behind.
func RemoveAll(path string) error {
	top, err := os.OpenRoot(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer top.Close()
	r := remover{top: top, trees: []string{filepath.Base(path)}}
	for n := 1; len(r.trees) > 0; {
		tree := r.trees[len(r.trees)-1]
		r.trees = r.trees[:len(r.trees)-1]
		r.remove(tree, 0, func(deep string) error {
			name := fmt.Sprintf("%s.deep-%d", filepath.Base(path), n)
			n++
			r.trees = append(r.trees, name)
			return top.Rename(deep, name)
		})
	}
	return r.err
}

// remover removes trees of one folder.
type remover struct {
	top   *os.Root
	trees []string // still to be removed
	err   error    // the first one
}

// remove removes what top has at path, except that it hands to cut what is too
// deep, to take it away. It reports whether nothing is left.
func (r *remover) remove(path string, depth int, cut func(path string) error) bool {
	err := r.top.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if fi, e := r.top.Lstat(path); e != nil || !fi.IsDir() {
		return r.fail(err)
	}
	if depth == cutDepth {
		return r.fail(cut(path))
	}
	if err := r.top.Chmod(path, 0o700); err != nil {
		return r.fail(err)
	}
	for {
		// The folder is not open while its entries go: that would cost a
		// descriptor for each level.
		names, err := r.some(path)
		if err != nil {
			return r.fail(err)
		}
		if len(names) == 0 {
			return r.fail(r.top.Remove(path))
		}
		clean := true
		for _, name := range names {
			clean = r.remove(filepath.Join(path, name), depth+1, cut) && clean
		}
		if !clean {
			return false
		}
	}
}

// fail keeps err, if it is one, and reports whether it is none.
func (r *remover) fail(err error) bool {
	if r.err == nil {
		r.err = err
	}
	return err == nil
}

// some are entries of a folder; none if it is empty.
func (r *remover) some(path string) ([]string, error) {
	f, err := r.top.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(batch)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

// unfit says why the tree that a program made at path cannot be published; ""
// if nothing stands against it.
func unfit(ctx context.Context, path string) (string, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return "", err
	}
	defer root.Close()
	return unfitFolder(ctx, root, ".", 0)
}

func unfitFolder(ctx context.Context, root *os.Root, path string, depth int) (string, error) {
	if depth == maxDepth {
		return fmt.Sprintf("its folders are nested more than %d deep", maxDepth), nil
	}
	f, err := root.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for {
		list, end := f.ReadDir(batch)
		for _, d := range list {
			name := filepath.Join(path, d.Name())
			switch {
			case d.IsDir():
				if why, err := unfitFolder(ctx, root, name, depth+1); why != "" || err != nil {
					return why, err
				}
			case !d.Type().IsRegular():
				return fmt.Sprintf("%s is neither a file nor a folder (links are not published)", quote(name)), nil
			}
		}
		switch {
		case errors.Is(end, io.EOF):
			return "", nil
		case end != nil:
			return "", end
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		}
	}
}

// quote is a name that a program or another peer gave, for an error.
func quote(name string) string {
	if len(name) > maxPart {
		return fmt.Sprintf("%q…", name[:maxPart])
	}
	return fmt.Sprintf("%q", name)
}
