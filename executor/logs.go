package executor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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

// ReadLog reads what an attempt for owner has written to a stream from offset on, as much
// as fits into p. ended is true when the attempt is over and nothing follows
// what was read. It works while the attempt runs and after it.
func (r *Runner) ReadLog(owner job.PeerID, a job.Attempt, stream string, offset int64, p []byte) (n int, ended bool, err error) {
	dir, err := r.folder(owner, a)
	if err != nil {
		return 0, false, err
	}
	if stream != Stdout && stream != Stderr {
		return 0, false, fmt.Errorf("reading the log of attempt %s: it has stdout and stderr, not %s", a, quote(stream))
	}
	// Whether it is over must be known before the log is read: what comes
	// between the two is then read next time.
	r.mu.Lock()
	over := !r.live[dir]
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

// keptLogs are the logs of attempts that are over, the oldest first. Each is in
// its attempt's folder, and that in the folder of its owner.
type keptLogs struct {
	list  []keptLog
	bytes int64
}

type keptLog struct {
	dir   string
	ended time.Time
	size  int64
}

func (l keptLog) owner() string { return filepath.Dir(l.dir) }

// load lists the attempts in the owners' folders in dir.
func (k *keptLogs) load(dir string) error {
	owners, err := os.ReadDir(dir)
	for _, o := range owners {
		if !isOwner(o.Name()) {
			continue
		}
		list, e := os.ReadDir(filepath.Join(dir, o.Name()))
		err = errors.Join(err, e)
		for _, d := range list {
			k.list = append(k.list, measure(filepath.Join(dir, o.Name(), d.Name())))
			k.bytes += k.list[len(k.list)-1].size
		}
	}
	slices.SortFunc(k.list, func(a, b keptLog) int { return a.ended.Compare(b.ended) })
	return errors.Join(err, k.prune())
}

// add takes in the log of an attempt that is over and removes others beyond the
// bounds.
func (k *keptLogs) add(dir string) error {
	l := measure(dir)
	k.list = append(k.list, l)
	k.bytes += l.size
	return k.prune()
}

func (k *keptLogs) prune() error {
	var err error
	for len(k.list) > maxKeptLogs || k.bytes > maxKeptBytes && len(k.list) > 1 {
		i := k.next()
		l := k.list[i]
		err = errors.Join(err, RemoveAll(l.dir))
		_ = os.Remove(l.owner()) // unless there is more in it
		k.bytes -= l.size
		k.list = slices.Delete(k.list, i, i+1)
	}
	return err
}

// next is the log that goes next: the oldest of the owner whose logs take most,
// so that nobody's many attempts push out those of others.
func (k *keptLogs) next() int {
	takes := map[string]int64{}
	for _, l := range k.list {
		if len(k.list) > maxKeptLogs {
			takes[l.owner()]++
		} else {
			takes[l.owner()] += l.size
		}
	}
	most := 0
	for i, l := range k.list {
		if takes[l.owner()] > takes[k.list[most].owner()] {
			most = i
		}
	}
	return most
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
