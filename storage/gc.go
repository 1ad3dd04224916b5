package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/boxo/datastore/dshelp"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	"go.uber.org/zap"
)

// Collected is what a collection removed, or would remove, and what stays.
type Collected struct {
	Blocks    int   // that were removed
	Bytes     int64 // of these
	Kept      int   // blocks that are pinned, or that a call under way relies on
	KeptBytes int64
}

// Collect removes every block that nobody pinned and no call under way relies on,
// or, if dry, only counts these. Other calls go on meanwhile.
//
// What a damaged block of a pinned root would lead to cannot be known. Then
// Collect says which it is and removes nothing.
func (s *Store) Collect(ctx context.Context, dry bool) (Collected, error) {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return Collected{}, err
	}
	defer end()
	got, err := s.collect(ctx, -1, dry)
	if err != nil {
		return got, fmt.Errorf("collecting garbage: %w", s.ended(ctx, err))
	}
	return got, nil
}

// stayBelow collects garbage whenever the store is nearly full, until ctx ends.
func (s *Store) stayBelow(ctx context.Context) {
	room := s.repo.room
	var least int64 // that the last collection could get down to
	for {
		select {
		case <-ctx.Done():
			return
		case <-room.full:
		}
		// Where all is pinned, collecting for each block more would be in vain.
		if room.used() < least+room.limit()/100 {
			continue
		}
		over, _ := room.beyond(0)
		got, err := s.collect(ctx, over+int64(float64(room.limit())*(1-lowWater)), false)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Warn("the store is nearly full, and garbage could not be collected", zap.Error(err))
		case got.Blocks > 0:
			s.log.Info("the store was nearly full: collected garbage", zap.Int("blocks", got.Blocks), zap.Int64("bytes", got.Bytes))
		}
		least = room.used()
	}
}

// collect removes garbage of at least goal bytes, all of it if goal is negative:
// first what has been here for longest. One collection runs at a time.
func (s *Store) collect(ctx context.Context, goal int64, dry bool) (got Collected, err error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return got, context.Cause(ctx)
	}
	defer s.claims.watch()()
	kept, err := s.mark(ctx)
	if err != nil {
		return got, err
	}
	garbage, err := s.sift(ctx, kept, &got)
	if err != nil {
		return got, err
	}
	if goal >= 0 {
		slices.SortFunc(garbage, func(a, b blockFile) int { return a.written.Compare(b.written) })
	}
	for _, b := range garbage {
		if err := ctx.Err(); err != nil {
			return got, err
		}
		gone := true
		switch {
		case goal >= 0 && got.Bytes >= goal:
			gone = false
		case !dry:
			if gone, err = s.claims.collect(ctx, b.hash, s.remove); err != nil {
				return got, err
			}
		}
		if gone {
			got.Blocks, got.Bytes = got.Blocks+1, got.Bytes+b.size
		} else {
			got.Kept, got.KeptBytes = got.Kept+1, got.KeptBytes+b.size
		}
	}
	return got, nil
}

// keptBlocks are blocks by their multihash; about 100 bytes of memory each.
type keptBlocks map[string]struct{}

// mark finds every block that a root keeps. Of the blocks only those with links
// are read.
func (s *Store) mark(ctx context.Context) (keptBlocks, error) {
	kept := keptBlocks{}
	read := cid.NewSet() // with links; the same bytes can be read in several ways
	return kept, s.roots.each(ctx, func(root cid.Cid) error {
		todo := []cid.Cid{root}
		for len(todo) > 0 {
			c := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			kept[string(c.Hash())] = struct{}{}
			if isRaw(c) || !read.Visit(c) {
				continue
			}
			nd, err := s.kubo.local.Get(ctx, c)
			if err != nil {
				return fmt.Errorf("what %s keeps cannot be told, so nothing is removed: %w; fetch it again (node pin add %s), or give it up (node pin rm %s)",
					root, s.kubo.damage.explain(c, err), root, root)
			}
			for _, l := range nd.Links() {
				todo = append(todo, l.Cid)
			}
		}
		return nil
	})
}

// blockFile is a block on the disk.
type blockFile struct {
	hash    string // multihash
	size    int64
	written time.Time
}

// sift goes through the disk and returns the blocks that are not kept.
func (s *Store) sift(ctx context.Context, kept keptBlocks, got *Collected) ([]blockFile, error) {
	var garbage []blockFile
	dir := filepath.Join(s.repo.dir, blocksDir)
	folders, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !folder.IsDir() || strings.HasPrefix(folder.Name(), ".") {
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, folder.Name()))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			b, ok, err := asBlock(f)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			if _, ok := kept[b.hash]; ok {
				got.Kept, got.KeptBytes = got.Kept+1, got.KeptBytes+b.size
				continue
			}
			garbage = append(garbage, b)
		}
	}
	return garbage, nil
}

// asBlock reads what a file's name and metadata say.
func asBlock(f fs.DirEntry) (blockFile, bool, error) {
	name, ok := strings.CutSuffix(f.Name(), blockSuffix)
	if !ok {
		return blockFile{}, false, nil
	}
	hash, err := dshelp.DsKeyToMultihash(datastore.RawKey("/" + name))
	if err != nil {
		return blockFile{}, false, nil // not ours
	}
	info, err := f.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return blockFile{}, false, nil // removed since
	}
	if err != nil {
		return blockFile{}, false, err
	}
	return blockFile{string(hash), info.Size(), info.ModTime()}, true, nil
}

// blockSuffix is what flatfs appends to the names of its files.
const blockSuffix = ".data"
