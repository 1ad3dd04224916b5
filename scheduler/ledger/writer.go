package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/shoal-mesh/shoal/scheduler/job"
	"go.etcd.io/bbolt"
)

// Run writes what is appended until ctx ends, Close is called or a write fails.
// It returns nil after ctx has ended and what was appended by then is on disk.
// It can run once.
func (l *Ledger) Run(ctx context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	defer close(l.committed)
	for {
		if err := l.flush(ctx, true); err != nil {
			return err
		}
		select {
		case <-l.wake:
		case <-l.closing:
			return ErrClosed
		case <-ctx.Done():
			return l.flush(ctx, false)
		}
	}
}

// flush writes group after group until nothing is left. With tell, it hands out
// what it wrote, waiting for the reader.
func (l *Ledger) flush(ctx context.Context, tell bool) error {
	for {
		events, err := l.take()
		if err != nil || len(events) == 0 {
			return err
		}
		if err := l.write(events); err != nil {
			if errors.Is(err, ErrEvent) {
				return l.stop(fmt.Errorf("writing the ledger %s: %w", l.path, err))
			}
			// After a failed fsync nobody knows what is on the disk; only a
			// restart, which reads it again, can tell.
			return l.stop(fmt.Errorf("writing the ledger %s: %w; see to it that the disk has room and is healthy, then start the node again", l.path, err))
		}
		if !tell {
			continue
		}
		select {
		case l.committed <- events:
		case <-l.closing:
			tell = false
		case <-ctx.Done():
			tell = false
		}
	}
}

// take removes from the queue as many whole appends as one transaction takes.
func (l *Ledger) take() ([]job.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return nil, l.failed
	}
	n := min(len(l.queue), maxGroup)
	events := slices.Concat(l.queue[:n]...)
	clear(l.queue[:n])
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return events, nil
}

// write makes events durable, in one transaction.
func (l *Ledger) write(events []job.Event) error {
	at := l.last
	err := l.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketEvents)
		b.FillPercent = 1 // keys only grow: full pages stay full
		for _, ev := range events {
			v, err := encode(ev)
			if err != nil {
				return err
			}
			at++
			if err := b.Put(binary.BigEndian.AppendUint64(nil, at), v); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		l.last = at
	}
	return err
}

// stop ends the writer for good. The first reason stays.
func (l *Ledger) stop(why error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = why
	}
	l.queue = nil
	return l.failed
}
