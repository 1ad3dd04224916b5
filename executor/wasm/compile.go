package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/cpu"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/executor/wasm/child"
	"github.com/shoal-mesh/shoal/executor/wasm/module"
)

// Bounds of a compilation.
const (
	compileTime   = 5 * time.Minute
	compileMemory = 2 << 30 // bytes
)

// compiled finds the compiled form of the module at path, or makes it. The
// caller releases it. A child.BadModule says what is wrong with the module.
func (x *Executor) compiled(ctx context.Context, e engine, path string, pages uint32) (*compiled, error) {
	sum, err := x.cache.sums.of(path)
	if err != nil {
		return nil, err
	}
	key := keyFor(e, sum, pages)
	for {
		if code := x.cache.acquire(key); code != nil {
			return code, nil
		}
		if err := x.cache.once(ctx, key, func(ctx context.Context) error {
			return x.compile(ctx, e, path, key, pages)
		}); err != nil {
			return nil, err
		}
	}
}

// keyFor names compiled code by all that it depends on.
func keyFor(e engine, moduleSum string, pages uint32) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%d\n%+v %+v", e.identity, moduleSum, pages, cpu.X86, cpu.ARM64)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// compile makes compiled code in a child of its own and puts it into the cache.
func (x *Executor) compile(ctx context.Context, e engine, path, key string, pages uint32) error {
	f, err := openModule(path)
	if err != nil {
		return err
	}
	defer f.Close()
	dir, err := x.cache.workspace()
	if err != nil {
		return err
	}
	defer executor.RemoveAll(dir)

	ctx, cancel := context.WithTimeoutCause(ctx, compileTime, errWall)
	defer cancel()
	end, err := e.start(ctx, child.Task{
		Op:    child.OpCompile,
		Pages: pages,
		Dir:   dir,
		Data:  compileMemory,
		CPU:   cpuSeconds(compileTime),
	}, childFiles{code: f})
	switch {
	case errors.Is(context.Cause(ctx), errWall):
		return child.BadModule{Reason: fmt.Sprintf("the module took longer than %s to compile", compileTime)}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	case !end.reported:
		return end.died()
	case end.report.Failed != "":
		return errors.New(end.report.Failed)
	case end.report.Bad != "":
		return child.BadModule{Reason: end.report.Bad}
	}
	return x.cache.add(key, dir)
}

// openModule opens a file that at least begins like a module.
func openModule(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := checkModule(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func checkModule(f *os.File) error {
	fi, err := f.Stat()
	switch {
	case err != nil:
		return err
	case fi.IsDir():
		return child.BadModule{Reason: "the module is a folder; name the module itself"}
	case fi.Size() > module.MaxSize:
		return child.BadModule{Reason: fmt.Sprintf("the module has %d MiB; at most %d are taken", fi.Size()>>20, module.MaxSize>>20)}
	}
	header := make([]byte, module.HeaderSize)
	n, err := f.ReadAt(header, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := module.Check(header[:n]); err != nil {
		return child.BadModule{Reason: err.Error()}
	}
	return nil
}

// flight is one compilation that several runs wait for.
type flight struct {
	waiting int
	cancel  context.CancelFunc
	done    chan struct{}
	err     error
}

// flights lets one of several callers with the same key work while the others
// wait. The zero value is ready.
type flights struct {
	mu   sync.Mutex
	live map[string]*flight
}

// once calls work, unless a call with the same key is under way, and answers
// with its error. Work is cancelled when every caller that waits for it has
// gone; the last one to go stays until it has ended.
func (f *flights) once(ctx context.Context, key string, work func(context.Context) error) error {
	f.mu.Lock()
	fl := f.live[key]
	if fl == nil {
		wctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		fl = &flight{cancel: cancel, done: make(chan struct{})}
		if f.live == nil {
			f.live = map[string]*flight{}
		}
		f.live[key] = fl
		go func() {
			defer cancel()
			fl.err = work(wctx)
			f.mu.Lock()
			if f.live[key] == fl {
				delete(f.live, key)
			}
			f.mu.Unlock()
			close(fl.done)
		}()
	}
	fl.waiting++
	f.mu.Unlock()

	select {
	case <-fl.done:
		return fl.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	fl.waiting--
	last := fl.waiting == 0
	if last && f.live[key] == fl {
		delete(f.live, key) // the next caller must not join what is being cancelled
	}
	f.mu.Unlock()
	if last {
		fl.cancel()
		<-fl.done
	}
	return context.Cause(ctx)
}
