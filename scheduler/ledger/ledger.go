// Package ledger keeps the events of jobs on this disk: one bbolt file a peer.
//
// Appending never waits for the disk. A single writer takes all that was
// appended since its last write, makes one transaction of it with one fsync,
// and hands the events back through Committed, in the order of Append. What
// Committed has handed out survives a crash; of what it has not, a crash leaves
// a prefix, and never a part of the events of one Append.
//
// The ledger deletes and repairs nothing. A file that it does not understand,
// and a disk that refuses a write, are errors that name the file.
package ledger

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/shoal-mesh/shoal/scheduler/job"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// format is the version of the file's layout. A file of a newer one is refused.
const format = 1

var (
	bucketMeta   = []byte("meta")
	bucketEvents = []byte("events") // 8 bytes, big endian, counting from 1 → event in CBOR
	keyFormat    = []byte("format")
	keyID        = []byte("id")
)

// maxGroup is how many appends one transaction takes at most.
const maxGroup = 1024

// Errors that end Run. ErrEvent is a fault of the program, and not of the disk,
// on which nothing of the event is.
var (
	ErrClosed = errors.New("the ledger is closed") // Close was called
	ErrEvent  = errors.New("an event that could not be read again was not written; this is a fault of the program, please report it")
)

// Ledger is an open file of events. Append and Committed may be used from any
// goroutine; Run writes, from one.
type Ledger struct {
	path      string
	db        *bbolt.DB
	id        job.LedgerID
	committed chan []job.Event

	mu     sync.Mutex
	queue  [][]job.Event // one element per Append
	failed error         // the writer's end
	last   uint64        // key of the last event
	wake   chan struct{} // something is in queue

	writing   sync.Mutex // held while the writer runs
	closing   chan struct{}
	closeOnce sync.Once
}

// Open opens or makes the ledger in the file at path. It takes the file's lock;
// a second opener fails at once.
func Open(path string) (*Ledger, error) {
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	l := &Ledger{
		path: path, db: db,
		committed: make(chan []job.Event, 16),
		wake:      make(chan struct{}, 1),
		closing:   make(chan struct{}),
	}
	if err := db.Update(l.prepare); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the ledger %s: %w", path, err), db.Close())
	}
	return l, nil
}

// openFile opens the file, and turns what bbolt makes of a bad one into an error
// that a person can do something about.
func openFile(path string) (db *bbolt.DB, err error) {
	defer guard(path, &err)()
	if info, statErr := os.Stat(path); statErr == nil && info.Size() > 0 && info.Size() < 4*4096 {
		return nil, damaged(path, "it is shorter than any ledger")
	}
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 100 * time.Millisecond, FreelistType: bbolt.FreelistMapType, NoStatistics: true})
	switch {
	case err == nil:
		return checkLength(db)
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("the ledger %s is in use by another process; only one node can run on it", path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, damaged(path, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("opening the ledger %s: %w; make it readable and writable for this user", path, err)
	}
	return nil, fmt.Errorf("opening the ledger %s: %w", path, err)
}

// guard turns a panic into an error: bbolt panics on pages that make no sense,
// and reading the mapped file beyond its end is a fault.
func guard(path string, err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if r := recover(); r != nil {
			*err = damaged(path, r)
		}
	}
}

// checkLength refuses a file that was cut short.
func checkLength(db *bbolt.DB) (*bbolt.DB, error) {
	var want int64
	err := db.View(func(tx *bbolt.Tx) error {
		want = tx.Size()
		return nil
	})
	info, statErr := os.Stat(db.Path())
	if err = errors.Join(err, statErr); err == nil && info.Size() < want {
		err = damaged(db.Path(), fmt.Sprintf("it has %d bytes of %d", info.Size(), want))
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func damaged(path string, why any) error {
	return fmt.Errorf("the ledger %s is damaged, or is none: %v; nothing was changed; put back a copy, or move it away to begin an empty one", path, why)
}

// prepare checks the file's format, or makes a new file ready.
func (l *Ledger) prepare(tx *bbolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return l.found(tx)
	}
	if v := meta.Get(keyFormat); len(v) != 1 || v[0] > format {
		return fmt.Errorf("it has format %x, this node understands up to %d; use a newer node", v, format)
	}
	l.id = job.LedgerID(meta.Get(keyID))
	events := tx.Bucket(bucketEvents)
	if len(l.id) != job.LedgerChars || events == nil {
		return errors.New("it is incomplete; put back a copy, or move it away to begin an empty one")
	}
	if k, _ := events.Cursor().Last(); len(k) == 8 {
		l.last = binary.BigEndian.Uint64(k)
	}
	return nil
}

func (l *Ledger) found(tx *bbolt.Tx) error {
	var random [32]byte
	rand.Read(random[:])
	l.id = job.NewLedgerID(random)
	meta, err := tx.CreateBucket(bucketMeta)
	if err != nil {
		return err
	}
	if _, err := tx.CreateBucket(bucketEvents); err != nil {
		return err
	}
	if err := meta.Put(keyFormat, []byte{format}); err != nil {
		return err
	}
	return meta.Put(keyID, []byte(l.id))
}

// ID names the ledger. It is drawn at random when the file is made.
func (l *Ledger) ID() job.LedgerID { return l.id }

// Replay calls see with every committed event, oldest first.
func (l *Ledger) Replay(see func(job.Event) error) (err error) {
	defer guard(l.path, &err)()
	return l.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketEvents).ForEach(func(k, v []byte) error {
			var ev job.Event
			if err := decoding.Unmarshal(v, &ev); err != nil {
				return damaged(l.path, fmt.Errorf("event %x: %w", k, err))
			}
			if err := see(ev); err != nil {
				return fmt.Errorf("replaying event %x of the ledger %s: %w", k, l.path, err)
			}
			return nil
		})
	})
}

// Append hands events to the writer, to be committed together. It does not wait;
// whoever appends bounds what it has under way by what has come back.
func (l *Ledger) Append(events ...job.Event) {
	if len(events) == 0 {
		return
	}
	l.mu.Lock()
	if l.failed == nil {
		l.queue = append(l.queue, events)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Committed hands out events that are durable, in the order of Append. It is
// closed when Run returns.
func (l *Ledger) Committed() <-chan []job.Event { return l.committed }

var (
	encoding = must(encOptions().EncMode())
	decoding = must(decOptions(cbor.UTF8DecodeInvalid).DecMode())
	strict   = must(decOptions(cbor.UTF8RejectInvalid).DecMode())
)

// decOptions are for reading, which takes text that is no UTF-8, since early
// versions wrote some, and for the check before writing, which does not.
func decOptions(text cbor.UTF8Mode) cbor.DecOptions {
	return cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, UTF8: text}
}

// encode is the form of an event on the disk. It reads it back: what Replay would
// refuse at the next start must not be written, however it came about.
func encode(ev job.Event) ([]byte, error) {
	v, err := encoding.Marshal(ev)
	if err == nil {
		var back job.Event
		err = strict.Unmarshal(v, &back)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s of job %q: %w", ErrEvent, ev.Kind, ev.Job, err)
	}
	return v, nil
}

func encOptions() cbor.EncOptions {
	o := cbor.CoreDetEncOptions()
	o.Time = cbor.TimeRFC3339NanoUTC
	return o
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // the options above contradict one another
	}
	return v
}

// Close ends Run, waits for it, writes what was appended last and closes the file.
func (l *Ledger) Close() error {
	var err error
	l.closeOnce.Do(func() {
		close(l.closing)
		l.writing.Lock() // Run has returned
		defer l.writing.Unlock()
		err = l.flush(context.Background(), false)
		l.stop(ErrClosed)
		err = errors.Join(err, l.db.Close())
	})
	return err
}
