package storage

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Fetch writes the file, folder or link that ref (see ParseRef) names at dst,
// asking peers for what is not here. dst must not exist, the folder that it is
// in must. It appears at once and complete, or not at all.
//
// It is written while it comes: the disk holds it twice, in the store and at dst.
//
// It is a NotFoundError when blocks do not come, and an error that is
// fs.ErrNotExist when the root has nothing at the path. Nothing is pinned.
func (s *Store) Fetch(ctx context.Context, ref, dst string) error {
	return s.FetchFrom(ctx, ref, dst)
}

// FetchFrom is Fetch that first connects to peers known to have the content,
// which saves the search for them. At most eight are tried; if none answers,
// the search goes on as in Fetch.
func (s *Store) FetchFrom(ctx context.Context, ref, dst string, providers ...peer.AddrInfo) error {
	r, err := ParseRef(ref)
	if err != nil {
		return err
	}
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	parent, name := filepath.Split(filepath.Clean(dst))
	dir, err := os.OpenRoot(filepath.Clean(parent))
	if err != nil {
		return fmt.Errorf("fetching %s: opening the folder to put it in: %w", r, err)
	}
	defer dir.Close()
	// Before the long part, and again after it.
	if err := checkAbsent(dir, name); err != nil {
		return fmt.Errorf("fetching %s: %w", r, err)
	}
	held := s.claims.begin()
	defer held.keep()
	out, err := newOutput(dir)
	if err != nil {
		return fmt.Errorf("writing %s to %s: %w", r, dst, ended(ctx, err, dir.Name()))
	}
	_, err, writing := s.load(ctx, r, held, fetching{from: providers}, func(ctx context.Context, dag ipld.NodeGetter, nd ipld.Node) error {
		disk := s.diskOf(dir.Name())
		fits := func(need int64) error { return s.repo.room.outside(disk, need) }
		return s.each(ctx, dag, nd, whole, func(e entry) error { return writeEntry(out.in, e, fits) })
	})
	if err == nil && writing == nil {
		writing = out.place(name)
	}
	writing = errors.Join(writing, out.remove())
	if err != nil {
		return err
	}
	if writing != nil {
		return fmt.Errorf("writing %s to %s: %w", r, dst, ended(ctx, writing, dir.Name()))
	}
	return nil
}

func checkAbsent(dir *os.Root, name string) error {
	_, err := dir.Lstat(name)
	if err == nil {
		return fmt.Errorf("%s is there already: %w; name another place, or remove it", filepath.Join(dir.Name(), name), fs.ErrExist)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// output is where something is written before it is complete: a folder in the
// one where it is to be, so that the last step is one rename.
type output struct {
	dir, in *os.Root
	tmp     string
}

// whole is what is written is called until it is placed.
const whole = "whole"

func newOutput(dir *os.Root) (*output, error) {
	o := &output{dir: dir, tmp: ".fetch-" + rand.Text()}
	err := dir.Mkdir(o.tmp, 0o700)
	if err != nil {
		return nil, err
	}
	if o.in, err = dir.OpenRoot(o.tmp); err != nil {
		return nil, errors.Join(err, dir.RemoveAll(o.tmp))
	}
	return o, nil
}

func (o *output) place(name string) error {
	if err := checkAbsent(o.dir, name); err != nil {
		return err
	}
	return o.dir.Rename(path.Join(o.tmp, whole), name)
}

func (o *output) remove() error { return errors.Join(o.in.Close(), o.dir.RemoveAll(o.tmp)) }

// writeEntry writes one thing, but not what its disk has no room for: a few blocks
// can claim to be, and unfold to, a file of any size.
func writeEntry(in *os.Root, e entry, fits func(int64) error) error {
	switch e.Kind {
	case Folder:
		return in.Mkdir(e.path, 0o777)
	case Symlink:
		return in.Symlink(e.target, e.path)
	}
	if err := fits(e.Size); err != nil {
		return err
	}
	f, err := in.OpenFile(e.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(sparing{f, fits}, e.body)
	return errors.Join(err, f.Close())
}

// sparing writes as long as the disk has room for it.
type sparing struct {
	w    io.Writer
	fits func(int64) error
}

func (s sparing) Write(b []byte) (int, error) {
	if err := s.fits(int64(len(b))); err != nil {
		return 0, err
	}
	return s.w.Write(b)
}

// Tar writes what ref names as a tar archive with one thing at its top, named
// as the last part of ref. It begins as soon as the first blocks are here, so
// that an error can come after a part of it was written. See Fetch for where it
// comes from and for errors.
func (s *Store) Tar(ctx context.Context, ref string, w io.Writer) error {
	return s.stream(ctx, ref, func(ctx context.Context, r Ref, dag ipld.NodeGetter, nd ipld.Node) error {
		out := tar.NewWriter(w)
		if err := s.each(ctx, dag, nd, r.Name(), func(e entry) error { return tarEntry(out, e) }); err != nil {
			return err
		}
		return out.Close()
	})
}

func tarEntry(out *tar.Writer, e entry) error {
	h := &tar.Header{Name: e.path, Format: tar.FormatPAX}
	switch e.Kind {
	case Folder:
		h.Typeflag, h.Mode, h.Name = tar.TypeDir, 0o755, e.path+"/"
	case Symlink:
		h.Typeflag, h.Mode, h.Linkname = tar.TypeSymlink, 0o777, e.target
	default:
		h.Typeflag, h.Mode, h.Size = tar.TypeReg, 0o644, e.Size
	}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	if e.Kind != File {
		return nil
	}
	_, err := io.Copy(out, e.body)
	return err
}

// Cat writes the bytes of the file that ref names, from when the first of them
// are here, as with Tar. See Fetch for where it comes from and for errors.
func (s *Store) Cat(ctx context.Context, ref string, w io.Writer) error {
	return s.stream(ctx, ref, func(ctx context.Context, r Ref, dag ipld.NodeGetter, nd ipld.Node) error {
		st, _, err := statNode(nd)
		if err != nil {
			return err
		}
		if st.Kind != File {
			return fmt.Errorf("it is a %s; only a file can be shown", st.Kind)
		}
		return s.each(ctx, dag, nd, r.Name(), func(e entry) error {
			_, err := io.Copy(w, e.body)
			return err
		})
	})
}

// stream loads what ref names while write writes it.
func (s *Store) stream(ctx context.Context, ref string, write func(context.Context, Ref, ipld.NodeGetter, ipld.Node) error) error {
	r, err := ParseRef(ref)
	if err != nil {
		return err
	}
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	held := s.claims.begin()
	defer held.keep()
	_, err, writing := s.load(ctx, r, held, fetching{}, func(ctx context.Context, dag ipld.NodeGetter, nd ipld.Node) error {
		return write(ctx, r, dag, nd)
	})
	if err == nil && writing != nil {
		err = fmt.Errorf("reading %s: %w", r, s.ended(ctx, writing))
	}
	return err
}

// entry is one file, folder or link of a tree that is written out.
type entry struct {
	Stat
	path   string    // with slashes
	target string    // of a link
	body   io.Reader // of a file
}

// each calls see for a node and for everything below it, which it reads from
// dag, folders before what is in them.
func (s *Store) each(ctx context.Context, dag ipld.NodeGetter, nd ipld.Node, name string, see func(entry) error) error {
	left := s.entries
	var visit func(nd ipld.Node, name string, depth int) error
	visit = func(nd ipld.Node, name string, depth int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := entry{path: name}
		var err error
		if e.Stat, e.target, err = statNode(nd); err != nil {
			return err
		}
		if e.Kind == File {
			body, err := uio.NewDagReader(ctx, nd, dag)
			if err != nil {
				return err
			}
			defer body.Close()
			e.body = body
		}
		if err := see(e); err != nil || e.Kind != Folder {
			return err
		}
		if depth == maxDepth {
			return errTooDeep
		}
		links, err := list(ctx, readOnly{dag}, nd, left)
		if err != nil {
			return err
		}
		left -= len(links)
		for _, l := range links {
			child, err := dag.Get(ctx, l.Cid)
			if err != nil {
				return err
			}
			if err := visit(child, path.Join(name, l.Name), depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return visit(nd, name, 0)
}
