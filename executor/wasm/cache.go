package wasm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/executor"
)

// cache is the compiled code on disk, a folder per key:
//
//	KEY/code/    the one file that the engine made, wherever it likes to have it
//	KEY/sha256   that file's SHA-256
//
// No child can write there: what one made in a workspace is copied. Compiled
// code is native code: it is loaded only after its sum has been found right by
// this process, and again when the file looks changed.
type cache struct {
	flights
	sums  sums
	dir   string
	limit int64 // bytes
	log   *zap.Logger

	mu      sync.Mutex
	entries map[string]*compiled
}

// compiled is one entry. A run holds it from acquire to release.
type compiled struct {
	key, dir, file string
	id             fileID // of file, when its sum was right; zero before
	used           time.Time
	holders        int
}

// code is the folder as the engine left it.
func (e *compiled) code() string { return filepath.Join(e.dir, codeName) }

// find looks for the file, unless that is done.
func (e *compiled) find() error {
	if e.file != "" {
		return nil
	}
	root, err := os.OpenRoot(e.code())
	if err != nil {
		return err
	}
	defer root.Close()
	name, err := theFile(root)
	if err == nil {
		e.file = filepath.Join(e.code(), name)
	}
	return err
}

const (
	codeName      = "code"
	sumName       = "sha256"
	workspaceMark = ".new-" // begins the names of unfinished entries and workspaces
)

// openCache lists what earlier processes compiled.
func openCache(dir string, limit int64, log *zap.Logger) (*cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	c := &cache{dir: dir, limit: limit, log: log, entries: map[string]*compiled{}}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		path := filepath.Join(dir, d.Name())
		fi, err := d.Info()
		switch {
		case err != nil:
		case strings.HasPrefix(d.Name(), workspaceMark):
			err = executor.RemoveAll(path)
		case d.IsDir():
			c.entries[d.Name()] = &compiled{key: d.Name(), dir: path, used: fi.ModTime()}
		}
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// acquire is the entry for key, checked; nil if there is none, or a damaged
// one, which is then removed.
func (c *cache) acquire(key string) *compiled {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		return nil
	}
	if err := e.check(); err != nil {
		c.log.Warn("removing damaged compiled code", zap.String("folder", e.dir), zap.Error(err))
		c.drop(e)
		return nil
	}
	e.used = time.Now()
	e.holders++
	return e
}

func (c *cache) release(e *compiled) {
	c.mu.Lock()
	e.holders--
	c.mu.Unlock()
}

// drop forgets an entry. The folder of one that is in use stays until the next
// process lists it or its key is compiled again.
func (c *cache) drop(e *compiled) {
	delete(c.entries, e.key)
	if e.holders > 0 {
		return
	}
	if err := os.RemoveAll(e.dir); err != nil {
		c.log.Warn("removing compiled code", zap.Error(err))
	}
}

// check compares the sum, unless the file is as it was when the sum was right.
func (e *compiled) check() error {
	if err := e.find(); err != nil {
		return err
	}
	id, err := identify(e.file)
	if err != nil || (id == e.id && id != fileID{}) {
		return err
	}
	want, err := os.ReadFile(filepath.Join(e.dir, sumName))
	if err != nil {
		return err
	}
	sum, err := sumFile(e.file)
	if err != nil {
		return err
	}
	if sum != string(want) {
		return errors.New("its sum is wrong")
	}
	e.id = id
	return nil
}

// add makes what a compiler left in its workspace the entry for key.
func (c *cache) add(key, workspace string) error {
	dir, err := os.MkdirTemp(c.dir, workspaceMark)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // it is gone where all went well
	sum, err := copyCode(workspace, filepath.Join(dir, codeName))
	if err != nil {
		return fmt.Errorf("taking over the compiled code: %w", err)
	}
	if err := create(filepath.Join(dir, sumName), func(f *os.File) error {
		_, err := f.WriteString(sum)
		return err
	}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	to := filepath.Join(c.dir, key)
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.Rename(dir, to); err != nil {
		return err
	}
	c.entries[key] = &compiled{key: key, dir: to, used: time.Now()}
	c.evict(key)
	return nil
}

// evict removes the entries that were not used for longest until the rest fits
// into the limit; keep stays in any case.
func (c *cache) evict(keep string) {
	size := map[string]int64{}
	total := int64(0)
	for key, e := range c.entries {
		// Damaged ones count nothing, and go when they are asked for.
		if e.find() != nil {
			continue
		}
		if id, err := identify(e.file); err == nil {
			size[key] = id.size
			total += id.size
		}
	}
	for total > c.limit {
		var oldest *compiled
		for _, e := range c.entries {
			if e.key != keep && e.holders == 0 && (oldest == nil || e.used.Before(oldest.used)) {
				oldest = e
			}
		}
		if oldest == nil {
			return
		}
		total -= size[oldest.key]
		c.drop(oldest)
	}
}
