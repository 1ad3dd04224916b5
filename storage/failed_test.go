package storage

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/kubo/repo"
	"go.uber.org/zap/zaptest"
)

// smallDisk is a datastore that has room for a number of writes. A batch with
// one write too many is on disk in part when it fails.
type smallDisk struct {
	repo.Datastore
	room   atomic.Int64
	landed chan struct{} // hears of a batch that is on disk, if somebody listens
}

func (d *smallDisk) spend() error {
	if d.room.Add(-1) < 0 {
		return &fs.PathError{Op: "write", Path: "block", Err: syscall.ENOSPC}
	}
	return nil
}

func (d *smallDisk) Put(ctx context.Context, key datastore.Key, value []byte) error {
	if err := d.spend(); err != nil {
		return err
	}
	return d.Datastore.Put(ctx, key, value)
}

func (d *smallDisk) Batch(ctx context.Context) (datastore.Batch, error) {
	b, err := d.Datastore.Batch(ctx)
	return &smallBatch{Batch: b, disk: d}, err
}

type smallBatch struct {
	datastore.Batch
	disk *smallDisk
	err  error
}

func (b *smallBatch) Put(ctx context.Context, key datastore.Key, value []byte) error {
	if err := b.disk.spend(); err != nil {
		b.err = err
		return nil
	}
	return b.Batch.Put(ctx, key, value)
}

func (b *smallBatch) Commit(ctx context.Context) error {
	err := errors.Join(b.Batch.Commit(ctx), b.err)
	select {
	case b.disk.landed <- struct{}{}:
	default:
	}
	return err
}

// newSmallDisk is a peer whose disk the test fills.
func newSmallDisk(t *testing.T) (*aPeer, *smallDisk) {
	t.Helper()
	p := newHost(t)
	p.dir = filepath.Join(t.TempDir(), "ipfs")
	r, err := openRepo(p.dir, kuboConfig())
	if err != nil {
		t.Fatal(err)
	}
	d := &smallDisk{Datastore: r.data, landed: make(chan struct{}, 1)}
	d.room.Store(1 << 20)
	r.data = d
	cfg := p.config()
	cfg.Patience = testPatience
	p.Store, err = openOn(r, cfg, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p, d
}

// onDisk lists the blocks that are here, and what lies about of broken batches.
// flatfs writes files of its own beside them now and then.
func (p *aPeer) onDisk(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*/*.data", ".temp/batch-*"} {
		found, err := filepath.Glob(filepath.Join(p.dir, blocksDir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	slices.Sort(all)
	return all
}

// files writes a folder of n files, the first of which are those of every other
// such folder.
func files(t *testing.T, n int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "folder")
	for i := range n {
		write(t, filepath.Join(dir, fmt.Sprintf("%03d", i)), fmt.Sprint("content ", i))
	}
	return dir
}

func entries(n int) []tar.Header {
	var out []tar.Header
	for i := range n {
		out = append(out, tar.Header{Name: fmt.Sprintf("top/%d", i), Linkname: fmt.Sprint("to ", i), Typeflag: tar.TypeSymlink})
	}
	return out
}

// However full the disk is when it is full, what was stored before is whole, and
// of what could not be stored nothing is left.
func TestFullDisk(t *testing.T) {
	p, disk := newSmallDisk(t)
	old := mustPut(t, p.Store, files(t, 20))
	before := p.onDisk(t)
	src := files(t, 150)
	room := int64(0)
	for ; ; room = room*3/2 + 1 {
		disk.room.Store(room)
		_, _, err := p.Put(t.Context(), src, "")
		disk.room.Store(1 << 20)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), p.dir) || !strings.Contains(err.Error(), "free space on it") {
			t.Errorf("room for %d: the error is %v", room, err)
		}
		if now := p.onDisk(t); !slices.Equal(now, before) {
			t.Errorf("room for %d: %d files in the store, %d before", room, len(now), len(before))
		}
		if _, _, err := p.Put(t.Context(), filepath.Join(src, "140"), ""); err != nil {
			t.Fatalf("room for %d: nothing can be stored after that: %v", room, err)
		}
		before = p.onDisk(t)
	}
	if room < 100 {
		t.Errorf("150 files needed room for %d", room)
	}
	if err := p.Fetch(t.Context(), old, filepath.Join(t.TempDir(), "out")); err != nil {
		t.Errorf("what was stored before: %v", err)
	}
	if n := len(p.claims.blocks); n != 0 {
		t.Errorf("%d blocks are claimed after all calls have ended", n)
	}
}

func TestFailedAddLeavesNothing(t *testing.T) {
	p, disk := newSmallDisk(t)
	mustPut(t, p.Store, files(t, 5))
	before := p.onDisk(t)
	whole := entries(300)
	for name, fail := range map[string]func() error{
		"refused entry": func() error {
			_, err := p.Add(t.Context(), archive(t, append(whole, file("../x"))...), "")
			return err
		},
		"cut short": func() error {
			_, err := p.Add(t.Context(), io.LimitReader(archive(t, whole...), 200*512), "")
			return err
		},
		"cancelled": func() error {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, w := io.Pipe()
			go func() {
				io.CopyN(w, archive(t, whole...), 200*512)
				<-disk.landed
				cancel()
				w.Close()
			}()
			_, err := p.Add(ctx, r, "")
			return err
		},
	} {
		select {
		case <-disk.landed:
		default:
		}
		room := disk.room.Load()
		if err := fail(); err == nil {
			t.Errorf("%s: it was added", name)
		}
		if now := p.onDisk(t); !slices.Equal(now, before) {
			t.Errorf("%s: %d files in the store, %d before", name, len(now), len(before))
		}
		if disk.room.Load() == room {
			t.Errorf("%s: nothing was written, so that nothing was to be removed", name)
		}
	}
}

// A block that a failing Add has written is another's by now: it stays.
func TestFailedAddLeavesWhatOthersNeed(t *testing.T) {
	p, disk := newSmallDisk(t)
	for len(disk.landed) > 0 {
		<-disk.landed
	}
	r, w := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		_, err := p.Add(t.Context(), r, "")
		failed <- err
	}()
	same := entries(300)
	// Enough for one batch, not for a second one.
	first := 128/runtime.NumCPU() + 1
	if _, err := io.CopyN(w, archive(t, same...), int64(first)*512); err != nil {
		t.Fatal(err)
	}
	<-disk.landed
	st, err := p.Add(t.Context(), archive(t, same...), "")
	if err != nil {
		t.Fatal(err)
	}
	before := p.onDisk(t)
	w.CloseWithError(errors.New("the line is cut"))
	if err := <-failed; err == nil {
		t.Error("half an archive was added")
	}
	if now := p.onDisk(t); !slices.Equal(now, before) {
		t.Errorf("%d files in the store, %d before", len(now), len(before))
	}
	if err := p.Fetch(t.Context(), st.CID, filepath.Join(t.TempDir(), "out")); err != nil {
		t.Errorf("what the other has stored: %v", err)
	}
}

// A batch that fails on the real disk leaves none of what it has gathered.
func TestFailedBatchLeavesNothing(t *testing.T) {
	p := newPeer(t)
	src := files(t, 100)
	shard := filepath.Base(filepath.Dir(p.blockFile(t, mustPut(t, p.Store, filepath.Join(src, "000")))))
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	remove(t, filepath.Join(p.dir, blocksDir, shard))
	write(t, filepath.Join(p.dir, blocksDir, shard), "in the way of a folder")
	p.open(t)
	before := p.onDisk(t)
	if c, _, err := p.Put(t.Context(), src, ""); err == nil {
		t.Fatalf("stored as %s", c)
	}
	if now := p.onDisk(t); !slices.Equal(now, before) {
		t.Errorf("left behind: %q", now)
	}
	if err := os.Remove(filepath.Join(p.dir, blocksDir, shard)); err != nil {
		t.Fatal(err)
	}
	mustPut(t, p.Store, src)
}
