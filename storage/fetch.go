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
	nd, err := s.load(ctx, r, held, providers)
	if err != nil {
		return err
	}
	if err := s.writeAt(ctx, nd, dir, name); err != nil {
		return fmt.Errorf("writing %s to %s: %w", r, dst, ended(ctx, err, dir.Name()))
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

// writeAt writes a node, all of which is on this disk, as dir's entry name: at
// first in a folder beside it, then moved into place.
func (s *Store) writeAt(ctx context.Context, nd ipld.Node, dir *os.Root, name string) (err error) {
	tmp := ".fetch-" + rand.Text()
	if err := dir.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.RemoveAll(tmp)) }()
	in, err := dir.OpenRoot(tmp)
	if err != nil {
		return err
	}
	defer in.Close()
	const whole = "whole"
	if err := s.each(ctx, nd, whole, func(e entry) error { return writeEntry(in, e) }); err != nil {
		return err
	}
	if err := checkAbsent(dir, name); err != nil {
		return err
	}
	return dir.Rename(path.Join(tmp, whole), name)
}

func writeEntry(in *os.Root, e entry) error {
	switch e.Kind {
	case Folder:
		return in.Mkdir(e.path, 0o777)
	case Symlink:
		return in.Symlink(e.target, e.path)
	}
	f, err := in.OpenFile(e.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, e.body)
	return errors.Join(err, f.Close())
}

// Tar writes what ref names as a tar archive with one thing at its top, named
// as the last part of ref. See Fetch for where it comes from and for errors.
func (s *Store) Tar(ctx context.Context, ref string, w io.Writer) error {
	return s.stream(ctx, ref, func(ctx context.Context, r Ref, nd ipld.Node) error {
		out := tar.NewWriter(w)
		if err := s.each(ctx, nd, r.Name(), func(e entry) error { return tarEntry(out, e) }); err != nil {
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

// Cat writes the bytes of the file that ref names. See Fetch for where it comes
// from and for errors.
func (s *Store) Cat(ctx context.Context, ref string, w io.Writer) error {
	return s.stream(ctx, ref, func(ctx context.Context, r Ref, nd ipld.Node) error {
		st, _, err := statNode(nd)
		if err != nil {
			return err
		}
		if st.Kind != File {
			return fmt.Errorf("it is a %s; only a file can be shown", st.Kind)
		}
		return s.each(ctx, nd, r.Name(), func(e entry) error {
			_, err := io.Copy(w, e.body)
			return err
		})
	})
}

// stream loads what ref names and hands it to write.
func (s *Store) stream(ctx context.Context, ref string, write func(context.Context, Ref, ipld.Node) error) error {
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
	nd, err := s.load(ctx, r, held, nil)
	if err != nil {
		return err
	}
	if err := write(ctx, r, nd); err != nil {
		return fmt.Errorf("reading %s: %w", r, s.ended(ctx, err))
	}
	return nil
}

// entry is one file, folder or link of a tree that is written out.
type entry struct {
	Stat
	path   string    // with slashes
	target string    // of a link
	body   io.Reader // of a file
}

// each calls see for a node that is on this disk and for everything below it,
// folders before what is in them.
func (s *Store) each(ctx context.Context, nd ipld.Node, name string, see func(entry) error) error {
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
			body, err := uio.NewDagReader(ctx, nd, s.kubo.local)
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
		links, err := list(ctx, s.kubo.local, nd, left)
		if err != nil {
			return err
		}
		left -= len(links)
		for _, l := range links {
			child, err := s.kubo.local.Get(ctx, l.Cid)
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
