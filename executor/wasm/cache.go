package wasm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// cache is the compiled code on disk: a folder per key that holds the one file
// which the engine made, wherever it likes to have it, and sumName with that
// file's SHA-256. Compiled code is native code: it is loaded only after its sum
// has been found right by this process, and again when the file looks changed.
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

const (
	sumName       = "sha256"
	workspaceMark = ".new-" // begins the names of unfinished entries
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
			err = os.RemoveAll(path)
		case d.IsDir():
			c.entries[d.Name()] = &compiled{key: d.Name(), dir: path, used: fi.ModTime()}
		}
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// workspace is a new folder for a compiler.
func (c *cache) workspace() (string, error) { return os.MkdirTemp(c.dir, workspaceMark) }

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
	if e.file == "" {
		var err error
		if e.file, err = theFile(e.dir); err != nil {
			return err
		}
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

// add makes the workspace at dir the entry for key.
func (c *cache) add(key, dir string) error {
	file, err := theFile(dir)
	if err != nil {
		return fmt.Errorf("looking at the compiled code: %w", err)
	}
	sum, err := sumFile(file)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, sumName), []byte(sum), 0o600); err != nil {
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
		if e.file == "" {
			e.file, _ = theFile(e.dir) // damaged ones count nothing, and go when they are asked for
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

// theFile is the one file that an engine left in dir.
func theFile(dir string) (string, error) {
	found := ""
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() || path == filepath.Join(dir, sumName):
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is no plain file", path)
		case found != "":
			return fmt.Errorf("%s holds more than one file", dir)
		}
		found = path
		return nil
	})
	if err == nil && found == "" {
		err = fmt.Errorf("%s holds no file", dir)
	}
	return found, err
}
