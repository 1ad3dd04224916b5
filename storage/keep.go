package storage

import (
	"context"
	"fmt"
	"time"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
)

const (
	// writers bring blocks to the disk side by side, each of them batches of up to
	// batchBytes or batchBlocks: what is synced together costs little more than
	// one block.
	writers     = 2
	batchBytes  = 16 << 20
	batchBlocks = 1024
	gatherTime  = 20 * time.Millisecond // that the first of a batch waits for the others
	// recentBytes of blocks are kept in memory for the reader, who needs neither
	// read them from the disk nor hash them again.
	recentBytes = 32 << 20
)

// took takes in a block that a source sent, whose hash is right. It waits for
// room on the way to the disk.
func (l *loader) took(w *want, b blocks.Block) error {
	l.mu.Lock()
	if l.wants[w.cid] != w {
		l.mu.Unlock()
		return nil // another was faster
	}
	if err := l.had(w, b, false); err != nil {
		l.mu.Unlock()
		return err
	}
	l.mu.Unlock()
	l.once.disk.Do(func() {
		for range writers {
			l.spawn(l.write)
		}
	})
	select {
	case l.disk <- b:
		return nil
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	}
}

// had notes that a block is here: in memory until it is stored, or stored. The
// caller holds the mutex.
func (l *loader) had(w *want, b blocks.Block, stored bool) error {
	if w.walk && !isRaw(w.cid) {
		nd, err := decode(b)
		if err != nil {
			return err
		}
		w.node = nd
		l.open++
		l.walk.push(w.step)
	}
	l.recent.put(b, stored)
	l.forget(w)
	l.note(int64(len(b.RawData())), int64(len(b.RawData())))
	l.latest = time.Now()
	l.timer.Reset(l.store.patience)
	if stored {
		l.done()
	}
	return nil
}

// write brings blocks to the disk until the loader ends.
func (l *loader) write() {
	for {
		batch := l.gather()
		if len(batch) == 0 {
			return
		}
		// Through the service, which tells peers that wait for them.
		if err := l.store.kubo.service.AddBlocks(l.ctx, batch); err != nil {
			l.end(fmt.Errorf("storing blocks: %w", err))
			return
		}
		l.mu.Lock()
		for _, b := range batch {
			l.recent.settle(b.Cid())
			l.done()
		}
		l.mu.Unlock()
	}
}

// gather waits for blocks: for a whole batch, unless no more are to come or they
// come slowly. It returns none when the loader ends.
func (l *loader) gather() (batch []blocks.Block) {
	var late <-chan time.Time
	for bytes := 0; bytes < batchBytes && len(batch) < batchBlocks; {
		var b blocks.Block
		select {
		case b = <-l.disk:
		default:
			if len(batch) > 0 && l.last() {
				return batch
			}
			select {
			case b = <-l.disk:
			case <-late:
				return batch
			case <-l.ctx.Done():
				return nil
			}
		}
		if len(batch) == 0 {
			late = time.After(gatherTime)
		}
		batch = append(batch, b)
		bytes += len(b.RawData())
	}
	return batch
}

// last reports whether no more blocks are on their way.
func (l *loader) last() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.wants) == 0
}

// recent is the blocks that came last. One that is not on the disk yet stays
// whatever the limit.
type recent struct {
	limit  int // bytes
	bytes  int
	blocks map[cid.Cid]*recentBlock
	order  []*recentBlock // the oldest first
}

type recentBlock struct {
	blocks.Block
	stored bool
}

func (r *recent) get(c cid.Cid) blocks.Block {
	if b := r.blocks[c]; b != nil {
		return b.Block
	}
	return nil
}

func (r *recent) put(b blocks.Block, stored bool) {
	if r.blocks == nil {
		r.blocks = map[cid.Cid]*recentBlock{}
	}
	if r.blocks[b.Cid()] != nil {
		return
	}
	e := &recentBlock{b, stored}
	r.blocks[b.Cid()] = e
	r.order = append(r.order, e)
	r.bytes += len(b.RawData())
	r.trim()
}

// settle says that a block is on the disk.
func (r *recent) settle(c cid.Cid) {
	if b := r.blocks[c]; b != nil {
		b.stored = true
		r.trim()
	}
}

// trim drops the oldest, up to the first that is not on the disk.
func (r *recent) trim() {
	for len(r.order) > 0 && r.bytes > r.limit && r.order[0].stored {
		b := r.order[0]
		r.order[0] = nil
		r.order = r.order[1:]
		delete(r.blocks, b.Cid())
		r.bytes -= len(b.RawData())
	}
}
