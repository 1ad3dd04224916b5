package executor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Folders are the folders of this machine that jobs may read in place, by the
// name in mount://NAME. The zero value offers none. Not changed after Open, and
// safe for concurrent use.
//
// A job sees the folder as it is: what is appended to a file while it reads is
// seen, and nothing is copied. It sees it read-only, and through an os.Root, so
// that no "..", no symbolic link and no change while it runs leads above it.
// What the operator has put below it on purpose is part of it: other file
// systems that are mounted there, and files that have another name elsewhere
// (hard links).
type Folders struct{ byName map[string]folder }

// folder is where a folder is, and which one it was when the node started. A
// disk that was unplugged leaves an empty folder of the same name behind, which
// a job must not take for its data.
type folder struct {
	path string // without symbolic links
	was  os.FileInfo
}

// OpenFolders looks at the folders that paths name: each must be there, be a
// folder and be readable. Symbolic links to them are followed, once, now.
func OpenFolders(paths map[string]string) (Folders, error) {
	f := Folders{byName: map[string]folder{}}
	for name, path := range paths {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return Folders{}, fmt.Errorf("mount %s: %w", name, err)
		}
		d := folder{path: real}
		if d.was, err = os.Lstat(real); err == nil && !d.was.IsDir() {
			err = fmt.Errorf("%s is no folder; a single file is offered by the folder that it is in", path)
		}
		if err == nil {
			err = readable(real)
		}
		if err != nil {
			return Folders{}, fmt.Errorf("mount %s: %w", name, err)
		}
		f.byName[name] = d
	}
	return f, nil
}

// readable reports why the node cannot open a folder, if so.
func readable(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return d.Close()
}

// Path is where the folder is, without symbolic links; "" if there is none of
// the name.
func (f Folders) Path(name string) string { return f.byName[name].path }

// Check is nil while the folder is there and the one that it was at the start.
// Its error does not say where it is on this disk: that is nobody's business.
func (f Folders) Check(name string) error {
	d, ok := f.byName[name]
	if !ok {
		return fmt.Errorf("this peer offers no mount %s", name)
	}
	now, err := os.Lstat(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the mount %s of this peer is gone: its folder is not there any more", name)
	case err != nil:
		return fmt.Errorf("the mount %s of this peer cannot be looked at: %w", name, bare(err))
	case !os.SameFile(now, d.was):
		return fmt.Errorf("the mount %s of this peer was replaced or unmounted since its node was started; its operator starts it anew, with the right folder in place", name)
	}
	return nil
}

// checkAll is Check of all mounts that a spec names.
func (f Folders) checkAll(spec job.Spec) error {
	for _, name := range spec.Mounts() {
		if err := f.Check(name); err != nil {
			return err
		}
	}
	return nil
}

// find is the mount of what ref names. Its error is no fault of the job: another
// peer that offers the mount may have what is missing here.
func (f Folders) find(ref string) (m Mount, err error) {
	name, sub, err := job.ParseMount(ref)
	if err != nil {
		return m, err
	}
	if err := f.Check(name); err != nil {
		return m, err
	}
	what := quote(sub) + " in the mount " + name + " of this peer"
	top := f.byName[name].path
	root, err := os.OpenRoot(top)
	if err != nil {
		return m, fmt.Errorf("the mount %s of this peer cannot be opened: %w", name, bare(err))
	}
	defer root.Close()
	if sub == "" {
		sub = "."
	}
	fi, err := root.Stat(sub)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return m, fmt.Errorf("there is no %s", what)
	case leadsOut(err):
		return m, fmt.Errorf("%s is, or lies behind, a symbolic link that leads out of the mount", what)
	case err != nil:
		return m, fmt.Errorf("%s cannot be read by its node: %w", what, bare(err))
	case !fi.IsDir() && !fi.Mode().IsRegular():
		return m, fmt.Errorf("%s is neither a file nor a folder", what)
	}
	// The names that lead there without links: only these may be opened later.
	real, err := filepath.EvalSymlinks(filepath.Join(top, sub))
	if err == nil {
		sub, err = filepath.Rel(top, real)
	}
	if err != nil || !filepath.IsLocal(sub) {
		return m, fmt.Errorf("%s changed while it was looked at", what)
	}
	return Mount{Host: top, Sub: sub}, nil
}

// leadsOut reports whether err is os.Root's word that a path leads out of it:
// the only one that is no error of the system.
func leadsOut(err error) bool {
	var errno syscall.Errno
	return err != nil && !errors.As(err, &errno)
}

// bare is err without the path in it.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
