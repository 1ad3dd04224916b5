package executor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const modulesDir = ".modules"

// Bounds of the modules that are kept for the next attempt.
const (
	maxModules     = 64
	maxModuleBytes = 512 << 20
)

// modules keeps the modules that were used last, so that many attempts at tasks
// of one job fetch it once. An attempt gets a link to the file, so a module may
// go while attempts use it.
type modules struct {
	dir   string
	store Store

	mu   sync.Mutex
	refs map[string]*module
}

type module struct {
	turn chan struct{} // filled by whoever fetches or links it
	path string
	size int64 // 0 until it is here
	used time.Time
}

func newModules(dir string, store Store) (*modules, error) {
	if err := RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return &modules{dir: dir, store: store, refs: map[string]*module{}}, nil
}

// get puts the module that ref names at dst. A reference names its content, so
// what was fetched once is right for ever.
func (m *modules) get(ctx context.Context, ref, dst string) error {
	m.mu.Lock()
	mod := m.refs[ref]
	if mod == nil {
		sum := sha256.Sum256([]byte(ref))
		mod = &module{turn: make(chan struct{}, 1), path: filepath.Join(m.dir, hex.EncodeToString(sum[:16]))}
		m.refs[ref] = mod
	}
	mod.used = time.Now()
	m.evict(mod)
	m.mu.Unlock()

	select {
	case mod.turn <- struct{}{}:
		defer func() { <-mod.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := os.Link(mod.path, dst)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := m.fetch(ctx, ref, mod); err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.refs[ref] == mod {
			delete(m.refs, ref)
		}
		return err
	}
	return os.Link(mod.path, dst)
}

// fetch brings a module; what is half there never gets its name.
func (m *modules) fetch(ctx context.Context, ref string, mod *module) error {
	work, err := os.MkdirTemp(m.dir, "new-")
	if err != nil {
		return err
	}
	defer RemoveAll(work)
	file := filepath.Join(work, "module")
	if err := m.store.Fetch(ctx, ref, file); err != nil {
		return err
	}
	fi, err := os.Lstat(file)
	switch {
	case err != nil:
		return err
	case !fi.Mode().IsRegular():
		return fault(fmt.Sprintf("the module %s is not a file; give the CID of the module itself", quote(ref)))
	}
	m.mu.Lock()
	mod.size = max(1, fi.Size())
	m.mu.Unlock()
	return os.Rename(file, mod.path)
}

// evict forgets the modules that were not used for longest, but never keep. The
// caller holds m.mu.
func (m *modules) evict(keep *module) {
	for {
		total, oldest := int64(0), ""
		for ref, mod := range m.refs {
			total += mod.size
			if mod != keep && mod.size > 0 && (oldest == "" || mod.used.Before(m.refs[oldest].used)) {
				oldest = ref
			}
		}
		if oldest == "" || len(m.refs) <= maxModules && total <= maxModuleBytes {
			return
		}
		os.Remove(m.refs[oldest].path)
		delete(m.refs, oldest)
	}
}
