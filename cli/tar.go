package cli

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/shoal-mesh/shoal/node/api"
)

// addFrom streams the file or folder name to the node's store. name may be a
// symbolic link inside folder; links further down travel as links and are
// never followed, so nothing from outside folder gets in.
func addFrom(ctx context.Context, client *api.Client, folder *os.Root, name, pin string) (api.Added, error) {
	return client.Upload(ctx, pin, func(w io.Writer) error { return writeTar(w, folder, name) })
}

// writeTar writes the file or folder name as an archive with that one thing at
// its top. The same files always give the same bytes.
func writeTar(w io.Writer, folder *os.Root, name string) error {
	info, err := folder.Stat(name)
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	if err := tarEntry(out, folder, name, topName(folder, name), info); err != nil {
		return err
	}
	return out.Close()
}

// topName is what the one thing at the top of an archive is called: the store
// pins it under this name.
func topName(folder *os.Root, name string) string {
	base := filepath.Base(name)
	if base == "." {
		if abs, err := filepath.Abs(folder.Name()); err == nil {
			base = filepath.Base(abs)
		}
	}
	if base == "." || base == ".." || base == string(filepath.Separator) {
		return "added"
	}
	return base
}

// tarEntry writes name, which info describes, as the entry as.
func tarEntry(out *tar.Writer, folder *os.Root, name, as string, info fs.FileInfo) error {
	h := &tar.Header{Name: as, Format: tar.FormatPAX}
	switch mode := info.Mode(); {
	case mode.IsDir():
		h.Typeflag, h.Mode, h.Name = tar.TypeDir, 0o755, as+"/"
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		return tarFolder(out, folder, name, as)
	case mode.IsRegular():
		return tarFile(out, folder, name, h)
	case mode.Type() == fs.ModeSymlink:
		target, err := folder.Readlink(name)
		if err != nil {
			return err
		}
		h.Typeflag, h.Mode, h.Linkname = tar.TypeSymlink, 0o777, target
		return out.WriteHeader(h)
	}
	return failed("%s is a device, pipe or socket; only files, folders and symbolic links can be added", name)
}

func tarFolder(out *tar.Writer, folder *os.Root, name, as string) error {
	d, err := folder.Open(name)
	if err != nil {
		return err
	}
	entries, err := d.ReadDir(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		inner := filepath.Join(name, e.Name())
		info, err := folder.Lstat(inner)
		if err != nil {
			return err
		}
		if err := tarEntry(out, folder, inner, path.Join(as, e.Name()), info); err != nil {
			return err
		}
	}
	return nil
}

// tarFile writes a file with the size that it has when it is opened.
func tarFile(out *tar.Writer, folder *os.Root, name string, h *tar.Header) error {
	f, err := openRegular(folder, name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h.Typeflag, h.Mode, h.Size = tar.TypeReg, 0o644, info.Size()
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	switch n, err := io.CopyN(out, f, h.Size); {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s became shorter while it was read, from %d bytes to %d; try again when nobody writes it", name, h.Size, n)
	default:
		return err
	}
}

// openRegular opens a file. If somebody put a pipe in its place, it does not
// wait for a writer.
func openRegular(folder *os.Root, name string) (*os.File, error) {
	f, err := folder.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
