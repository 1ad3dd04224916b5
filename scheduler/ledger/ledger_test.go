package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
	"go.etcd.io/bbolt"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func event(n int) job.Event {
	return job.Event{
		Attempt: job.Attempt{Job: job.ID(fmt.Sprintf("job%d", n)), Task: 1, Attempt: 2},
		Kind:    job.AwardedTo, At: time.Date(2030, 1, 2, 3, 4, 5, 6e6, time.UTC),
		Spec:   &job.Spec{Name: "n", Task: job.Task{WASM: &job.WASM{Module: "ipfs://x"}, Env: map[string]string{"B": "2", "A": "1"}}},
		Peer:   "p",
		Offers: []job.Offer{{Peer: "p", Free: job.Room{CPU: 1000, Memory: 1 << 30}}},
		Reason: "r", Blame: true, Result: &job.Result{Exit: 3, Outputs: []job.Output{{Name: "o", CID: "c", Size: 9}}},
	}
}

func open(t *testing.T, path string) *Ledger {
	t.Helper()
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// run runs l until the test ends, and returns what ends it earlier.
func run(t *testing.T, l *Ledger) func() error {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stopped := false
	stop := func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := stop(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return stop
}

func replayed(t *testing.T, l *Ledger) []job.Event {
	t.Helper()
	var all []job.Event
	if err := l.Replay(func(ev job.Event) error { all = append(all, ev); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestOrderAndReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	stop := run(t, l)
	var want, got []job.Event
	for n := range 200 {
		a, b := event(2*n), event(2*n+1)
		want = append(want, a, b)
		l.Append(a, b)
	}
	for len(got) < len(want) {
		group := <-l.Committed()
		if len(group)%2 != 0 {
			t.Fatalf("a group of %d has half an append", len(group))
		}
		got = append(got, group...)
	}
	if !reflect.DeepEqual(got, want) {
		t.Error("committed in another order than appended")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	last := event(400)
	l.Append(last) // after Run: Close writes it
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, path)
	defer again.Close()
	if again.ID() != l.ID() || len(l.ID()) != job.LedgerChars {
		t.Errorf("ledger %q is %q when opened again", l.ID(), again.ID())
	}
	if got := replayed(t, again); !reflect.DeepEqual(got, append(want, last)) {
		t.Errorf("replayed %d events, want %d, or others", len(got), len(want)+1)
	}
}

func TestGrouping(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	defer l.Close()
	for n := range 500 {
		l.Append(event(n))
	}
	before := transactions(t, l)
	stop := run(t, l)
	for n := 0; n < 500; {
		n += len(<-l.Committed())
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := transactions(t, l) - before; n != 1 {
		t.Errorf("500 appends that were there together took %d transactions, want 1", n)
	}
}

func transactions(t *testing.T, l *Ledger) int {
	t.Helper()
	id := 0
	if err := l.db.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

// A copy of the file at any moment is what a crash leaves: a prefix, with every
// event that Committed had handed out by then.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, "ledger.db"))
	defer l.Close()
	run(t, l)
	committed := 0
	for round := range 10 {
		for n := range 10 {
			l.Append(event(10*round + n))
		}
		for committed < 10*(round+1)-5 {
			committed += len(<-l.Committed())
		}
		path := filepath.Join(dir, fmt.Sprintf("copy%d.db", round))
		// A crash cuts between two writes of the file, never inside the lock of
		// a reading transaction's snapshot.
		if err := l.db.View(func(tx *bbolt.Tx) error { return tx.CopyFile(path, 0o600) }); err != nil {
			t.Fatal(err)
		}
		c := open(t, path)
		got := replayed(t, c)
		if len(got) < committed {
			t.Fatalf("round %d: %d events were committed, %d survived", round, committed, len(got))
		}
		for i, ev := range got {
			if !reflect.DeepEqual(ev, event(i)) {
				t.Fatalf("round %d: event %d is %v", round, i, ev)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A write that was torn before its last page, which makes it count, leaves what
// was there before it.
func TestTornWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	run(t, l)
	for n := range 20 {
		l.Append(event(n))
		<-l.Committed()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	left := map[int]bool{}
	for page := range 2 { // bbolt writes these two in turn, last
		torn := append([]byte(nil), whole...)
		clear(torn[page*os.Getpagesize()+64 : (page+1)*os.Getpagesize()])
		copied := filepath.Join(t.TempDir(), "torn.db")
		if err := os.WriteFile(copied, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		c := open(t, copied)
		got := replayed(t, c)
		for i, ev := range got {
			if !reflect.DeepEqual(ev, event(i)) {
				t.Fatalf("event %d is %v", i, ev)
			}
		}
		left[len(got)] = true
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !left[20] || !left[19] {
		t.Errorf("what is left: %v, want 20 and 19", left)
	}
}

func TestSecondOpener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	defer l.Close()
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second opener was told: %v", err)
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "whole.db")
	l := open(t, path)
	run(t, l)
	for n := range 300 {
		l.Append(event(n))
	}
	for n := 0; n < 300; {
		n += len(<-l.Committed())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	garbage := make([]byte, len(whole))
	for i := range garbage {
		garbage[i] = byte(i * 7)
	}
	noise := append([]byte(nil), whole...)
	for i := 2 * os.Getpagesize(); i < len(noise); i++ {
		noise[i] = 0xa5
	}
	for name, content := range map[string][]byte{
		"garbage": garbage, "text": []byte("this is no ledger\n"), "half": whole[:len(whole)/2],
		"first page": whole[:os.Getpagesize()], "pages overwritten": noise,
	} {
		bad := filepath.Join(dir, name)
		if err := os.WriteFile(bad, content, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, name, bad, "damaged")
		if after, _ := os.ReadFile(bad); !reflect.DeepEqual(after, content) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func refused(t *testing.T, name, path, word string) {
	t.Helper()
	l, err := Open(path)
	if err == nil {
		err = l.Replay(func(job.Event) error { return nil })
		l.Close()
	}
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), word) {
		t.Errorf("%s: %v", name, err)
	}
}

func TestNewerFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	if err := l.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyFormat, []byte{format + 1}) }); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, "newer format", path, "newer node")
}

// A disk that refuses a write ends the ledger; nobody is told that it is durable.
func TestFailedWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	defer l.Close()
	if err := l.db.Close(); err != nil { // as good as a disk that has gone away
		t.Fatal(err)
	}
	l.Append(event(1))
	err := l.Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Run ended with: %v", err)
	}
	if group, open := <-l.Committed(); open {
		t.Errorf("%d events were called durable", len(group))
	}
	l.Append(event(2)) // is dropped, and does not block
}

// Disk full, by a limit of bbolt's own.
func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	defer l.Close()
	l.db.MaxSize = 64 << 10
	big := event(1)
	big.Reason = strings.Repeat("x", 1<<20)
	l.Append(big)
	if err := l.Run(context.Background()); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Run ended with: %v", err)
	}
}

func BenchmarkAppend(b *testing.B) {
	l, err := Open(filepath.Join(b.TempDir(), "ledger.db"))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	for n := 0; b.Loop(); n++ {
		l.Append(event(n))
		<-l.Committed()
	}
	cancel()
	<-done
	l.Close()
}

// What could not be read at the next start is refused before anything of its
// transaction is on the disk, with an error that names it.
func TestUnreadableEvent(t *testing.T) {
	bad := event(2)
	bad.Reason = "\xff"
	long := event(3)
	long.Spec.Task.Args = make([]string, 200_000) // more than the decoder takes
	for name, ev := range map[string]job.Event{"no UTF-8": bad, "endless list": long} {
		path := filepath.Join(t.TempDir(), "ledger.db")
		l := open(t, path)
		l.Append(event(1))
		l.Append(ev)
		err := l.Run(context.Background())
		if !errors.Is(err, ErrEvent) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), string(ev.Job)) || strings.Contains(err.Error(), "disk") {
			t.Errorf("%s: Run ended with: %v", name, err)
		}
		if group, more := <-l.Committed(); more {
			t.Errorf("%s: %d events were called durable", name, len(group))
		}
		l.Close()
		again := open(t, path)
		if got := replayed(t, again); len(got) != 0 {
			t.Errorf("%s: %d events are on the disk", name, len(got))
		}
		again.Close()
	}
}

// A ledger into which an early version wrote bytes that are no text is read, and
// goes on.
func TestOldInvalidText(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	defer l.Close()
	bad := event(1)
	bad.Reason = "cut inside a char\xc3…"
	v, err := encoding.Marshal(bad)
	if err != nil {
		t.Fatal(err)
	}
	err = l.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketEvents).Put([]byte{0, 0, 0, 0, 0, 0, 0, 1}, v)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := replayed(t, l); len(got) != 1 || !reflect.DeepEqual(got[0], bad) {
		t.Errorf("%+v", got)
	}
}

// Many at a time: what an event costs besides the fsync.
func BenchmarkAppendGroup(b *testing.B) {
	l, err := Open(filepath.Join(b.TempDir(), "ledger.db"))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	for b.Loop() {
		for n := range 1000 {
			l.Append(event(n))
		}
		for n := 0; n < 1000; {
			n += len(<-l.Committed())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(1000*b.N), "ns/event")
	cancel()
	<-done
	l.Close()
}
