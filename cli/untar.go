package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/shoal-mesh/shoal/node/api"
)

// wholeName is what an archive's only top is called where it is unpacked.
const wholeName = "whole"

// skippedEntry is something in an archive that was not written.
type skippedEntry struct{ name, why string }

// receive fetches content and unpacks it as dir/wholeName.
func receive(ctx context.Context, client *api.Client, ref, dir string) ([]skippedEntry, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	defer root.Close()
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := client.Tar(ctx, ref, w)
		w.CloseWithError(err)
		sent <- err
	}()
	skipped, err := untar(root, r)
	if err == nil {
		_, err = io.Copy(io.Discard, r) // a late error comes behind the archive
	}
	r.CloseWithError(io.ErrClosedPipe)
	if remote := <-sent; remote != nil && !errors.Is(remote, io.ErrClosedPipe) {
		return nil, remote // it says more than that the archive broke off
	}
	return skipped, err
}

// untar unpacks an archive with one file or folder at its top into root.
// Nothing is written outside of root, whatever the archive says, and symbolic
// links that lead out of the content are left out.
func untar(root *os.Root, r io.Reader) ([]skippedEntry, error) {
	var skipped []skippedEntry
	in := tar.NewReader(r)
	top := ""
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			if top == "" {
				return nil, errors.New("the node sent an empty archive")
			}
			return skipped, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read what the node sent: %w", err)
		}
		first, rest, _ := strings.Cut(path.Clean(h.Name), "/")
		switch {
		case path.IsAbs(h.Name) || first == "." || first == "..":
			return nil, fmt.Errorf("the node sent an entry with the name %q, which leads out of the folder", h.Name)
		case top == "":
			top = first
		case first != top:
			return nil, fmt.Errorf("the node sent %q where %q was asked for", first, top)
		}
		why, err := unpack(root, in, h, path.Join(wholeName, rest))
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", h.Name, err)
		}
		if why != "" {
			skipped = append(skipped, skippedEntry{rest, why})
		}
	}
}

// unpack writes one entry as name, or says why not.
func unpack(root *os.Root, in io.Reader, h *tar.Header, name string) (skip string, err error) {
	local := filepath.FromSlash(name)
	switch h.Typeflag {
	case tar.TypeDir:
		return "", root.MkdirAll(local, 0o777)
	case tar.TypeReg:
		f, err := root.OpenFile(local, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(f, in)
		return "", errors.Join(err, f.Close())
	case tar.TypeSymlink:
		// Seen from the link, inside the content: else reading the result
		// would read files of whoever fetched it.
		target := path.Join(path.Dir(name), h.Linkname)
		if path.IsAbs(h.Linkname) || target != wholeName && !strings.HasPrefix(target, wholeName+"/") || name == wholeName {
			return fmt.Sprintf("a symbolic link to %s, outside of the content", h.Linkname), nil
		}
		return "", root.Symlink(h.Linkname, local)
	}
	return "neither file, folder nor symbolic link", nil
}
