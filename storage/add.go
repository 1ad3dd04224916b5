package storage

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	ipld "github.com/ipfs/go-ipld-format"
)

// Add stores a tar archive with one file or folder at its top, pins that, and
// has it announced by Run. Links are stored as links. The pin has the name given,
// or, if there is none, that of what is at the top.
//
// An archive with absolute or .. names, with devices, pipes, hard links, setuid
// or setgid files, with a name twice or with several things at its top is a
// RefusedError. An Add that fails pins nothing and leaves nothing on the disk.
func (s *Store) Add(ctx context.Context, archive io.Reader, name string) (Stat, error) {
	st, err := s.build(ctx, PinInfo{Name: name, By: User}, func(b *builder) (string, ipld.Node, error) {
		t := &tree{b: b, folders: map[string]uio.Directory{}, leaves: map[string]bool{}}
		in := &zeroEnd{r: archive}
		if err := t.read(tar.NewReader(in)); err != nil {
			return "", nil, err
		}
		// What comes behind the archive's end is of no use, but a reader that checks
		// the whole says only at its own end whether it is good.
		if _, err := io.Copy(io.Discard, in); err != nil {
			return "", nil, fmt.Errorf("reading to the end: %w", err)
		}
		if in.zeros < 512 {
			return "", nil, fmt.Errorf("the archive was cut short: %w", io.ErrUnexpectedEOF)
		}
		nd, err := t.finish()
		return t.top, nd, err
	})
	if err != nil {
		return Stat{}, fmt.Errorf("storing the archive: %w", err)
	}
	return st, nil
}

// zeroEnd counts the zero bytes at the end of what was read. An archive ends
// with blocks of zeros, and the tar reader does not mind when they are missing;
// an upload that broke off between two files must not pass for all of it.
type zeroEnd struct {
	r     io.Reader
	zeros int
}

func (z *zeroEnd) Read(p []byte) (int, error) {
	n, err := z.r.Read(p)
	zeros := n - len(bytes.TrimRight(p[:n], "\x00"))
	if zeros == n {
		zeros += z.zeros
	}
	z.zeros = zeros
	return n, err
}

// tree collects an archive. Its entries may come in any order, so that no
// folder is complete before the archive's end.
type tree struct {
	b       *builder
	top     string                   // the name of what is at the top
	root    ipld.Node                // what is at the top, once it is complete
	folders map[string]uio.Directory // by path
	leaves  map[string]bool          // paths of everything else
}

func (t *tree) read(r *tar.Reader) error {
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, tar.ErrHeader) {
			return &RefusedError{"archive", "it is damaged, or not a tar archive"}
		}
		if err != nil {
			return err
		}
		if err := t.entry(h, r); err != nil {
			return err
		}
	}
}

// entry takes one entry of the archive in.
func (t *tree) entry(h *tar.Header, body io.Reader) error {
	if err := t.b.count(); err != nil {
		return err
	}
	name, err := t.name(h)
	if err != nil || name == "" {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		_, err := t.folder(name)
		return err
	case tar.TypeReg, tar.TypeGNUSparse:
		if err := checkMode(h.FileInfo().Mode(), h.Name); err != nil {
			return err
		}
		return t.leaf(name, func() (ipld.Node, error) { return t.b.file(body) })
	case tar.TypeSymlink:
		return t.leaf(name, func() (ipld.Node, error) { return t.b.symlink(h.Linkname) })
	case tar.TypeLink:
		return &RefusedError{h.Name, "it is a hard link; make the archive with tar --hard-dereference"}
	}
	return &RefusedError{h.Name, "it is " + kindOf(h.FileInfo().Mode())}
}

// name returns the entry's path in its plain form, or nothing for the folder
// that the archive was made in ("./").
func (t *tree) name(h *tar.Header) (string, error) {
	if path.IsAbs(h.Name) {
		return "", &RefusedError{h.Name, "its name begins with a slash"}
	}
	parts := strings.Split(h.Name, "/")
	if slices.Contains(parts, "..") {
		return "", &RefusedError{h.Name, "its name holds .."}
	}
	if len(parts) > maxDepth {
		return "", &RefusedError{h.Name, errTooDeep.Error()}
	}
	name := path.Clean(h.Name)
	if name == "." {
		return "", nil
	}
	if strings.Contains(name, "\x00") {
		return "", &RefusedError{h.Name, "its name holds a zero byte"}
	}
	first, _, _ := strings.Cut(name, "/")
	if t.top == "" {
		t.top = first
	}
	if t.top != first {
		return "", &RefusedError{h.Name, fmt.Sprintf("the archive has %q at its top already; put both into one folder", t.top)}
	}
	return name, nil
}

// folder returns the folder at a path, making it and those above it.
func (t *tree) folder(name string) (uio.Directory, error) {
	if d, ok := t.folders[name]; ok {
		return d, nil
	}
	if t.leaves[name] {
		return nil, &RefusedError{name, "the archive has something that is no folder under the same name"}
	}
	if parent := path.Dir(name); parent != "." {
		if _, err := t.folder(parent); err != nil {
			return nil, err
		}
	}
	d, err := t.b.folder()
	if err != nil {
		return nil, err
	}
	t.folders[name] = d
	return d, nil
}

// leaf puts a file or a link into its folder.
func (t *tree) leaf(name string, make func() (ipld.Node, error)) error {
	if t.leaves[name] || t.folders[name] != nil {
		return &RefusedError{name, "the archive has the name twice"}
	}
	t.leaves[name] = true
	nd, err := make()
	if err != nil {
		return err
	}
	return t.place(name, nd)
}

func (t *tree) place(name string, nd ipld.Node) error {
	parent := path.Dir(name)
	if parent == "." {
		t.root = nd
		return nil
	}
	d, err := t.folder(parent)
	if err != nil {
		return err
	}
	return d.AddChild(t.b.ctx, path.Base(name), nd)
}

// finish stores the folders, the deepest first, and returns the root.
func (t *tree) finish() (ipld.Node, error) {
	names := slices.SortedFunc(maps.Keys(t.folders), func(a, b string) int {
		return cmp.Or(strings.Count(b, "/")-strings.Count(a, "/"), strings.Compare(a, b))
	})
	for _, name := range names {
		nd, err := t.b.store(t.folders[name])
		if err != nil {
			return nil, err
		}
		if err := t.place(name, nd); err != nil {
			return nil, err
		}
	}
	if t.root == nil {
		return nil, &RefusedError{"archive", "there is nothing in it"}
	}
	return t.root, nil
}
