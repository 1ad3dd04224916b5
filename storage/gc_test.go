package storage

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipld/unixfs"
	ipld "github.com/ipfs/go-ipld-format"
	"go.uber.org/zap/zaptest"
)

// sized is a peer whose store has a limit.
func sized(t testing.TB, limit int64) *aPeer {
	t.Helper()
	p := newHost(t)
	p.dir = filepath.Join(t.TempDir(), "ipfs")
	cfg := p.config()
	cfg.MaxBytes = limit
	s, err := Open(t.Context(), cfg, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	p.Store = s
	return p
}

// random writes a file that shares no block with another.
func random(t testing.TB, size int) string {
	t.Helper()
	data := make([]byte, size)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(t.TempDir(), "random"), string(data))
}

func mustUnpin(t testing.TB, s *Store, what string) {
	t.Helper()
	if _, err := s.Unpin(t.Context(), what); err != nil {
		t.Fatal(err)
	}
}

func TestCollect(t *testing.T) {
	p := newPeer(t)
	shared := files(t, 5)
	kept := mustPut(t, p.Store, shared)
	before := p.onDisk(t)
	write(t, filepath.Join(shared, "more"), "only here")
	garbage := mustPut(t, p.Store, shared) // shares five blocks with what is kept
	big := mustPut(t, p.Store, random(t, 3<<20))
	mustUnpin(t, p.Store, garbage)
	mustUnpin(t, p.Store, big)
	all := p.onDisk(t)

	dry, err := p.Collect(t.Context(), true)
	if now := p.onDisk(t); err != nil || !slices.Equal(now, all) {
		t.Errorf("only counting left %d of %d files, %v", len(now), len(all), err)
	}
	used := p.repo.room.used()
	got, err := p.Collect(t.Context(), false)
	if err != nil || got != dry || got.Blocks != len(all)-len(before) || got.Kept != len(before) || got.Bytes < 3<<20 {
		t.Errorf("collected %+v, counted %+v, %v", got, dry, err)
	}
	if now := p.onDisk(t); !slices.Equal(now, before) {
		t.Errorf("%d files are left, want %d", len(now), len(before))
	}
	if freed := used - p.repo.room.used(); freed != got.Bytes {
		t.Errorf("%d bytes are free now, and %d were collected", freed, got.Bytes)
	}
	if again, err := p.Collect(t.Context(), false); err != nil || again.Blocks != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if err := p.Fetch(t.Context(), kept, filepath.Join(t.TempDir(), "out")); err != nil {
		t.Error(err)
	}
	// What is gone is known to be gone.
	p.patience = testPatience
	var missing *NotFoundError
	if err := p.Fetch(t.Context(), big, filepath.Join(t.TempDir(), "out")); !errors.As(err, &missing) {
		t.Errorf("what was collected: %v", err)
	}
}

// A root may name a block with links as mere bytes. Where another root names it as
// what it is, its links count, whichever of the two is looked at first.
func TestCollectKnowsLinksFromBytes(t *testing.T) {
	p := newPeer(t)
	dir := filepath.Join(t.TempDir(), "dir")
	write(t, filepath.Join(dir, "x"), "leaf")
	folder := mustPut(t, p.Store, dir)
	block, err := os.ReadFile(p.blockFile(t, folder))
	if err != nil {
		t.Fatal(err)
	}
	bytes := mustPut(t, p.Store, write(t, filepath.Join(t.TempDir(), "bytes"), string(block)))
	if p.blockFile(t, bytes) != p.blockFile(t, folder) {
		t.Fatal("these are not the same bytes")
	}
	for _, order := range []string{"bytes first", "folder first"} {
		top := unixfs.EmptyDirNode()
		for i, c := range []string{bytes, folder} {
			r, err := ParseRef(c)
			if err != nil {
				t.Fatal(err)
			}
			name := string("ab"[i])
			if order == "folder first" {
				name = string("ba"[i])
			}
			if err := top.AddRawLink(name, &ipld.Link{Cid: r.CID, Size: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.kubo.dag.Add(t.Context(), top); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Pin(t.Context(), top.Cid().String(), ""); err != nil {
			t.Fatal(err)
		}
	}
	mustUnpin(t, p.Store, folder)
	if _, err := p.Collect(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if got := fetched(t, p.Store, folder+"/x"); got != "leaf" {
		t.Errorf("got %q", got)
	}
}

// What a call under way has laid claim to stays until it is done with it.
func TestCollectLeavesWhatIsRead(t *testing.T) {
	p := newPeer(t)
	p.patience = testPatience
	src := random(t, 3<<20)
	c := mustPut(t, p.Store, src)
	blocks := len(p.onDisk(t))
	mustUnpin(t, p.Store, c)
	r, w := io.Pipe()
	go func() { w.CloseWithError(p.Cat(t.Context(), c, w)) }()
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	claimed := func() int {
		p.claims.mu.Lock()
		defer p.claims.mu.Unlock()
		return len(p.claims.blocks)
	}
	for claimed() < blocks {
		runtime.Gosched()
	}
	if got, err := p.Collect(t.Context(), false); err != nil || got.Blocks != 0 {
		t.Errorf("collected %+v, %v", got, err)
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r, 3<<20-1))
	if rest, end := r.Read(make([]byte, 1)); err != nil || end != io.EOF || rest != 0 || n != 3<<20-1 {
		t.Errorf("%d bytes more, %v, %v", n, err, end)
	}
	if got, err := p.Collect(t.Context(), false); err != nil || got.Blocks != blocks {
		t.Errorf("collected %+v, %v", got, err)
	}
}

// The cache makes room, what came first before what came last, and no more of it
// than must.
func TestCacheMakesRoom(t *testing.T) {
	p := sized(t, 10<<20)
	p.patience = testPatience
	var cached []string
	for i := range 3 {
		c := mustPut(t, p.Store, random(t, 2<<20))
		mustUnpin(t, p.Store, c)
		at := time.Now().Add(time.Duration(i-10) * time.Hour)
		for _, f := range p.onDisk(t) { // all that were written until now, but for those of the last rounds
			if fi, err := os.Stat(f); err == nil && fi.ModTime().After(time.Now().Add(-time.Hour)) {
				if err := os.Chtimes(f, at, at); err != nil {
					t.Fatal(err)
				}
			}
		}
		cached = append(cached, c)
	}
	kept := mustPut(t, p.Store, random(t, 5<<20))
	if used := p.repo.room.used(); used > 10<<20 {
		t.Errorf("%d bytes are used", used)
	}
	var here []bool
	for _, c := range append(cached, kept) {
		here = append(here, p.Fetch(t.Context(), c, filepath.Join(t.TempDir(), "out")) == nil)
	}
	if want := []bool{false, false, true, true}; !slices.Equal(here, want) {
		t.Errorf("here are %v, want %v", here, want)
	}
}

// What does not fit is refused with words, and takes nothing of what is kept.
func TestFullStoreRefuses(t *testing.T) {
	p, other := sized(t, 10<<20), newPeer(t)
	connect(t, p, other)
	kept := mustPut(t, p.Store, random(t, 6<<20))
	before := p.onDisk(t)
	big := random(t, 6<<20)
	far := mustPut(t, other.Store, big)
	for name, call := range map[string]func() error{
		"put":   func() error { _, _, err := p.Put(t.Context(), big, ""); return err },
		"fetch": func() error { return p.Fetch(t.Context(), far, filepath.Join(t.TempDir(), "out")) },
		"pin":   func() error { _, err := p.Pin(t.Context(), far, ""); return err },
	} {
		var full *FullError
		err := call()
		if !errors.As(err, &full) || full.Limit != 10<<20 || full.Disk || !strings.Contains(err.Error(), "--max-storage") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := p.Collect(t.Context(), false); err != nil {
			t.Error(err)
		}
		if now := p.onDisk(t); !slices.Equal(now, before) {
			t.Errorf("%s: %d files, %d before", name, len(now), len(before))
		}
	}
	// What is here already needs no room.
	if _, err := p.Pin(t.Context(), kept, "again"); err != nil {
		t.Error(err)
	}
	mustUnpin(t, p.Store, kept)
	if err := p.Fetch(t.Context(), far, filepath.Join(t.TempDir(), "out")); err != nil {
		t.Errorf("with room made: %v", err)
	}
}

// Some of the disk is left to others, whatever the limit says.
func TestDiskIsNotFilled(t *testing.T) {
	p := sized(t, 1<<40)
	p.repo.room.disk = func() (int64, int64, error) { return 3 << 20, 100 << 20, nil }
	mustPut(t, p.Store, random(t, 100<<10))
	_, _, err := p.Put(t.Context(), random(t, 2<<20), "")
	var full *FullError
	if !errors.As(err, &full) || !full.Disk || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("the error is %v", err)
	}
}

func TestDefaultLimit(t *testing.T) {
	p := newPeer(t)
	free, _, err := p.repo.room.disk()
	if limit := p.repo.room.limit(); err != nil || limit < free/2 || limit > free {
		t.Errorf("the limit is %d with %d free, %v", limit, free, err)
	}
}

// A store that was opened on a full disk says so, and is not bound by that once
// there is room again.
func TestDefaultLimitOfAFullDisk(t *testing.T) {
	p := newPeer(t)
	mustPut(t, p.Store, random(t, 1<<20))
	free := int64(4 << 10)
	p.repo.room.disk = func() (int64, int64, error) { return free, 100 << 20, nil }
	if err := p.repo.room.setLimit(0); err != nil {
		t.Fatal(err)
	}
	_, _, err := p.Put(t.Context(), random(t, 10), "")
	var full *FullError
	if !errors.As(err, &full) || !full.Disk || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("on the full disk: %v", err)
	}
	free = 50 << 20
	mustPut(t, p.Store, random(t, 2<<20))
	was := p.repo.room.limit()
	free = 10 << 20
	if now := p.repo.room.limit(); now < p.repo.room.used() || now >= was {
		t.Errorf("the limit is %d with much free, %d with little", was, now)
	}
}

// Run collects by itself when the store is nearly full.
func TestRunStaysBelow(t *testing.T) {
	p := sized(t, 10<<20)
	p.told.Routing = nowhere{}
	mustUnpin(t, p.Store, mustPut(t, p.Store, random(t, 9<<20)))
	p.run(t)
	mustPut(t, p.Store, random(t, 500<<10))
	for p.repo.room.used() > 8<<20 {
		select {
		case <-t.Context().Done():
			t.Fatal("nothing was collected")
		case <-time.After(time.Millisecond):
		}
	}
}

// Several adds, fetches, pins and collections at a time: what is pinned is whole,
// and what is being read stays until it was.
func TestNothingKeptIsEverLost(t *testing.T) {
	far := newPeer(t)
	var remote []string
	for i := range 4 {
		dir := files(t, 8+i) // these share most of their blocks
		write(t, filepath.Join(dir, "big"), strings.Repeat(fmt.Sprint(i), 1<<20))
		remote = append(remote, mustPut(t, far.Store, dir))
	}
	near := newPeer(t)
	connect(t, near, far)
	var dirs [4]string
	for i := range dirs {
		dirs[i] = files(t, 6+i)
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	for round := range uint64(20) {
		var workers sync.WaitGroup
		for worker := range uint64(4) {
			random := mathrand.New(mathrand.NewPCG(seed, 4*round+worker))
			workers.Go(func() {
				for range 6 {
					what, which := random.IntN(6), random.IntN(4)
					if err := near.step(t, what, dirs[which], remote[which]); err != nil {
						t.Errorf("step %d of %d: %v", what, which, err)
					}
				}
			})
		}
		workers.Wait()
		near.checkKept(t)
	}
}

// checkKept checks that what is pinned is whole, and that it is all there is once
// garbage was collected; and leaves nothing.
func (p *aPeer) checkKept(t *testing.T) {
	t.Helper()
	pins := p.pins(t)
	if _, err := p.Collect(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for _, pin := range pins {
		if missing := p.missing(t, pin.CID); missing != "" {
			t.Fatalf("%s is pinned, and %s is gone", pin.CID, missing)
		}
		mustUnpin(t, p.Store, pin.CID)
	}
	if _, err := p.Collect(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if left := p.onDisk(t); len(left) != 0 {
		t.Fatalf("nothing is pinned, and %d blocks are left", len(left))
	}
	if n := len(p.claims.blocks); n != 0 || p.claims.lately != nil {
		t.Fatalf("%d blocks are claimed after all calls have ended", n)
	}
}

// step does one thing of TestNothingKeptIsEverLost. Losing a race against who
// unpins is no error.
func (p *aPeer) step(t *testing.T, what int, dir, far string) error {
	ctx := t.Context()
	switch what {
	case 0:
		_, _, err := p.Put(ctx, dir, "")
		return err
	case 1:
		_, err := p.Pin(ctx, far, "far")
		return err
	case 2:
		return p.Fetch(ctx, far, filepath.Join(t.TempDir(), "out"))
	case 3:
		_, err := p.Collect(ctx, false)
		return err
	case 4:
		if _, err := p.Unpin(ctx, far); !errors.Is(err, ErrNotPinned) {
			return err
		}
	case 5: // an Add that fails
		if _, err := p.Add(ctx, archive(t, file("top/0"), file("../x")), ""); err == nil {
			return errors.New("what is refused was added")
		}
	}
	return nil
}

// missing is a block of a root that is not on this disk, if there is one.
func (p *aPeer) missing(t *testing.T, root string) string {
	t.Helper()
	r, err := ParseRef(root)
	if err != nil {
		t.Fatal(err)
	}
	todo := []string{r.CID.String()}
	for len(todo) > 0 {
		r, _ := ParseRef(todo[0])
		nd, err := p.kubo.local.Get(t.Context(), r.CID)
		if err != nil {
			return todo[0]
		}
		todo = todo[1:]
		for _, l := range nd.Links() {
			todo = append(todo, l.Cid.String())
		}
	}
	return ""
}
