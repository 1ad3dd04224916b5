package storagetest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// Store is a store in memory. Its CIDs are its own: well-formed, and made from
// the content, but not those of a real store. The zero value is not usable; see
// New. It is safe for concurrent use.
type Store struct {
	// Fault, if set, is called at the start of every Fetch ("fetch", the
	// reference) and Put ("put", the path); its error is theirs. It may wait for
	// ctx to end. Set it before the store is used.
	Fault func(ctx context.Context, op, what string) error

	mu    sync.Mutex
	trees map[string]*thing // by CID
}

// New returns an empty store.
func New() *Store { return &Store{trees: map[string]*thing{}} }

// thing is a file, a folder (children is not nil) or a link (target is not
// empty). It does not change.
type thing struct {
	data     []byte
	children map[string]*thing
	target   string
}

// NotFoundError says that the store does not have what was asked for.
type NotFoundError struct{ CID string }

func (e *NotFoundError) Error() string { return "ipfs://" + e.CID + " was not found" }

// NotFound marks the error, as it does that of a real store.
func (e *NotFoundError) NotFound() bool { return true }

// Put keeps the file, folder or link at path; what its pin is called is not kept.
func (s *Store) Put(ctx context.Context, path, pin string) (string, int64, error) {
	if err := s.fault(ctx, "put", path); err != nil {
		return "", 0, err
	}
	th, err := readThing(path)
	if err != nil {
		return "", 0, fmt.Errorf("storing %s: %w", path, err)
	}
	h := sha256.New()
	th.hash(h)
	sum, err := multihash.Encode(h.Sum(nil), multihash.SHA2_256)
	if err != nil {
		return "", 0, err
	}
	id := cid.NewCidV1(cid.DagProtobuf, sum).String()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trees[id] = th
	return id, th.size(), nil
}

// Fetch writes what ref names at dst.
func (s *Store) Fetch(ctx context.Context, ref, dst string) error {
	if err := s.fault(ctx, "fetch", ref); err != nil {
		return err
	}
	if _, err := os.Lstat(dst); err == nil {
		return fmt.Errorf("fetching %s: %s: %w", ref, dst, fs.ErrExist)
	}
	th, err := s.find(ref)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dst), ".fetch-")
	if err != nil {
		return fmt.Errorf("fetching %s: %w", ref, err)
	}
	whole := filepath.Join(tmp, "whole")
	err = th.write(whole)
	if err == nil {
		err = os.Rename(whole, dst)
	}
	return errors.Join(err, os.RemoveAll(tmp))
}

func (s *Store) fault(ctx context.Context, op, what string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.Fault == nil {
		return nil
	}
	return s.Fault(ctx, op, what)
}

func (s *Store) find(ref string) (*thing, error) {
	rest := strings.TrimPrefix(strings.TrimPrefix(ref, "ipfs://"), "/ipfs/")
	root, path, _ := strings.Cut(rest, "/")
	if _, err := cid.Decode(root); err != nil {
		return nil, fmt.Errorf("%q is not a reference: %w", ref, err)
	}
	s.mu.Lock()
	th := s.trees[root]
	s.mu.Unlock()
	if strings.Contains("/"+path+"/", "/../") {
		return nil, fmt.Errorf("%q is not a reference", ref)
	}
	if th == nil {
		return nil, &NotFoundError{CID: root}
	}
	for name := range strings.SplitSeq(path, "/") {
		if name == "" {
			continue
		}
		if th = th.children[name]; th == nil {
			return nil, fmt.Errorf("fetching %s: %w", ref, fs.ErrNotExist)
		}
	}
	return th, nil
}

func readThing(path string) (*thing, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	switch mode := fi.Mode(); {
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		return &thing{target: target}, err
	case mode.IsRegular() && mode&(fs.ModeSetuid|fs.ModeSetgid) == 0:
		data, err := os.ReadFile(path)
		return &thing{data: data}, err
	case !mode.IsDir():
		return nil, fmt.Errorf("%s cannot be stored: it is %s", path, mode)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	th := &thing{children: map[string]*thing{}}
	for _, e := range entries {
		child, err := readThing(filepath.Join(path, e.Name()))
		if err != nil {
			return nil, err
		}
		th.children[e.Name()] = child
	}
	return th, nil
}

func (th *thing) write(path string) error {
	switch {
	case th.target != "":
		return os.Symlink(th.target, path)
	case th.children == nil:
		return os.WriteFile(path, th.data, 0o666)
	}
	if err := os.Mkdir(path, 0o777); err != nil {
		return err
	}
	for name, child := range th.children {
		if err := child.write(filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

// hash adds the thing to a hash, each part with its length before it.
func (th *thing) hash(h hash.Hash) {
	part := func(s string) {
		h.Write(binary.AppendUvarint(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	switch {
	case th.target != "":
		part("link")
		part(th.target)
	case th.children == nil:
		part("file")
		part(string(th.data))
	default:
		part("folder")
		part(fmt.Sprint(len(th.children)))
		for _, name := range slices.Sorted(maps.Keys(th.children)) {
			part(name)
			th.children[name].hash(h)
		}
	}
}

func (th *thing) size() int64 {
	n := int64(len(th.data))
	for _, child := range th.children {
		n += child.size()
	}
	return n
}
