package storage

import (
	"context"
	"errors"
	"sync"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// recorder claims what is written through it. The buffer above it writes several
// batches at once and, after an error, does not wait for those under way; stop
// does.
type recorder struct {
	ipld.DAGService
	hold *hold
	has  func(context.Context, cid.Cid) (bool, error)
	room func(ctx context.Context, bytes int64) error // makes room, or says that there is none

	mu      sync.Mutex
	stopped bool
	writes  sync.WaitGroup
}

var errStopped = errors.New("writing goes on after its end")

func (r *recorder) Add(ctx context.Context, nd ipld.Node) error {
	return r.AddMany(ctx, []ipld.Node{nd})
}

func (r *recorder) AddMany(ctx context.Context, nds []ipld.Node) error {
	if !r.start() {
		return errStopped
	}
	defer r.writes.Done()
	if err := ctx.Err(); err != nil {
		return err
	}
	size := int64(0)
	for _, nd := range nds {
		if !r.hold.claim(nd.Cid()) {
			continue
		}
		here, err := r.has(ctx, nd.Cid())
		if err != nil {
			return err
		}
		if !here {
			r.hold.fresh(nd.Cid())
			size += int64(len(nd.RawData()))
		}
	}
	if err := r.room(ctx, size); err != nil {
		return err
	}
	return r.DAGService.AddMany(ctx, nds)
}

func (r *recorder) start() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopped {
		r.writes.Add(1)
	}
	return !r.stopped
}

// stop lets nothing more be written and waits for what is under way.
func (r *recorder) stop() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.writes.Wait()
}
