package executor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// The streams of a program, as ReadLog names them.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// Bounds of the logs that are kept after their attempts.
const (
	maxKeptLogs  = 1000
	maxKeptBytes = 512 << 20
)

// ErrNoLog says that no log of an attempt is here: it was never run here, or so
// long ago that its log is gone.
var ErrNoLog = errors.New("its log is not kept here")

// ReadLog reads what an attempt has written to a stream from offset on, as much
// as fits into p. ended is true when the attempt is over and nothing follows
// what was read. It works while the attempt runs and after it.
func (r *Runner) ReadLog(a job.Attempt, stream string, offset int64, p []byte) (n int, ended bool, err error) {
	if stream != Stdout && stream != Stderr {
		return 0, false, fmt.Errorf("reading the log of attempt %s: it has stdout and stderr, not %q", a, stream)
	}
	dir, err := r.folder(a)
	if err != nil {
		return 0, false, err
	}
	// Whether it is over must be known before the log is read: what comes
	// between the two is then read next time.
	r.mu.Lock()
	over := !r.live[a]
	r.mu.Unlock()
	f, err := os.Open(filepath.Join(dir, stream))
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNoLog
	}
	if err != nil {
		return 0, false, fmt.Errorf("reading the log of attempt %s: %w", a, err)
	}
	defer f.Close()
	n, err = f.ReadAt(p, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, false, fmt.Errorf("reading the log of attempt %s: %w", a, err)
	}
	if !over {
		return n, false, nil
	}
	fi, err := f.Stat()
	if err != nil {
		return n, false, fmt.Errorf("reading the log of attempt %s: %w", a, err)
	}
	return n, offset+int64(n) >= fi.Size(), nil
}

// keptLogs are the logs of attempts that are over, the oldest first.
type keptLogs struct {
	list  []keptLog
	bytes int64
}

type keptLog struct {
	dir   string
	ended time.Time
	size  int64
}

// load lists the attempts in dir.
func (k *keptLogs) load(dir string) error {
	list, err := os.ReadDir(dir)
	for _, d := range list {
		if !strings.HasPrefix(d.Name(), ".") {
			k.list = append(k.list, measure(filepath.Join(dir, d.Name())))
			k.bytes += k.list[len(k.list)-1].size
		}
	}
	slices.SortFunc(k.list, func(a, b keptLog) int { return a.ended.Compare(b.ended) })
	return errors.Join(err, k.prune())
}

// add takes in the log of an attempt that is over and removes the oldest ones
// beyond the bounds.
func (k *keptLogs) add(dir string) error {
	l := measure(dir)
	k.list = append(k.list, l)
	k.bytes += l.size
	return k.prune()
}

func (k *keptLogs) prune() error {
	var err error
	for len(k.list) > maxKeptLogs || k.bytes > maxKeptBytes && len(k.list) > 1 {
		err = errors.Join(err, os.RemoveAll(k.list[0].dir))
		k.bytes -= k.list[0].size
		k.list = k.list[1:]
	}
	return err
}

// forget drops a log whose attempt runs again.
func (k *keptLogs) forget(dir string) {
	k.list = slices.DeleteFunc(k.list, func(l keptLog) bool {
		if l.dir == dir {
			k.bytes -= l.size
		}
		return l.dir == dir
	})
}

func measure(dir string) keptLog {
	k := keptLog{dir: dir}
	for _, name := range []string{Stdout, Stderr} {
		if fi, err := os.Stat(filepath.Join(dir, name)); err == nil {
			k.size += fi.Size()
			if fi.ModTime().After(k.ended) {
				k.ended = fi.ModTime()
			}
		}
	}
	return k
}
