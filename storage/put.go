package storage

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	ipld "github.com/ipfs/go-ipld-format"
)

// Put stores the file or folder at path, pins it for a job, and has it announced
// by Run. The pin has the name given, or, if there is none, that of path. Links at
// path and below are stored as links. What the folders above path are is the
// caller's to know: links among those are followed, as ever.
//
// Devices, sockets, pipes and files with setuid or setgid bits are a
// RefusedError. What changes while it is read is stored as it was read, or is an
// error. A Put that fails pins nothing and leaves nothing on the disk.
func (s *Store) Put(ctx context.Context, path, pin string) (cid string, size int64, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", 0, err
	}
	parent, name := filepath.Split(abs)
	if name == "" {
		return "", 0, &RefusedError{path, "it is the root of the file system"}
	}
	dir, err := os.OpenRoot(parent)
	if err != nil {
		return "", 0, fmt.Errorf("storing %s: %w", path, err)
	}
	defer dir.Close()
	st, err := s.build(ctx, PinInfo{Name: pin, By: Job}, func(b *builder) (string, ipld.Node, error) {
		nd, err := b.fromDisk(dir, name, abs, 0)
		return name, nd, err
	})
	if err != nil {
		return "", 0, fmt.Errorf("storing %s: %w", path, err)
	}
	return st.CID, st.Size, nil
}

// fromDisk stores dir's entry name; shown is its path for people.
func (b *builder) fromDisk(dir *os.Root, name, shown string, depth int) (ipld.Node, error) {
	if err := b.count(); err != nil {
		return nil, err
	}
	fi, err := dir.Lstat(name)
	if err != nil {
		return nil, err
	}
	switch mode := fi.Mode(); {
	case mode.IsRegular():
		if err := checkMode(mode, shown); err != nil {
			return nil, err
		}
		return b.fileFromDisk(dir, name, fi)
	case mode.IsDir():
		if depth == maxDepth {
			return nil, errTooDeep
		}
		return b.folderFromDisk(dir, name, shown, depth, fi)
	case mode&fs.ModeSymlink != 0:
		target, err := dir.Readlink(name)
		if err != nil {
			return nil, err
		}
		return b.symlink(target)
	default:
		return nil, &RefusedError{shown, "it is " + kindOf(mode)}
	}
}

// checkMode refuses a file that gives whoever runs it the rights of another.
func checkMode(mode fs.FileMode, shown string) error {
	if mode&fs.ModeSetuid != 0 {
		return &RefusedError{shown, "its setuid bit is set; clear it with chmod u-s"}
	}
	if mode&fs.ModeSetgid != 0 {
		return &RefusedError{shown, "its setgid bit is set; clear it with chmod g-s"}
	}
	return nil
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeDevice != 0:
		return "a device"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe (FIFO)"
	}
	return "neither a file, a folder nor a symbolic link"
}

func (b *builder) fileFromDisk(dir *os.Root, name string, seen fs.FileInfo) (ipld.Node, error) {
	// Not to wait for a writer, should the file have become a pipe by now.
	f, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := checkSame(f.Stat, seen, name); err != nil {
		return nil, err
	}
	return b.file(f)
}

func (b *builder) folderFromDisk(dir *os.Root, name, shown string, depth int, seen fs.FileInfo) (ipld.Node, error) {
	sub, err := dir.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	defer sub.Close()
	if err := checkSame(func() (fs.FileInfo, error) { return sub.Stat(".") }, seen, name); err != nil {
		return nil, err
	}
	names, err := namesIn(sub)
	if err != nil {
		return nil, err
	}
	out, err := b.folder()
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		nd, err := b.fromDisk(sub, n, path.Join(shown, n), depth+1)
		if err != nil {
			return nil, err
		}
		if err := out.AddChild(b.ctx, n, nd); err != nil {
			return nil, err
		}
	}
	return b.store(out)
}

// checkSame makes sure that what was opened is what was looked at: between the
// two, an entry can be replaced by a link.
func checkSame(stat func() (fs.FileInfo, error), seen fs.FileInfo, name string) error {
	fi, err := stat()
	if err != nil {
		return err
	}
	if !os.SameFile(fi, seen) {
		return fmt.Errorf("%q was replaced while it was read", name)
	}
	return nil
}

func namesIn(dir *os.Root) ([]string, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}
