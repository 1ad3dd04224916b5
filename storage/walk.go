package storage

import (
	"context"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// walk is what is still to be looked at for links, the last first.
type walk struct {
	steps []step
	seen  *cid.Set
	wake  chan struct{}
}

// step is one block of the tree.
type step struct {
	cid   cid.Cid
	place string    // in the tree, from the top and from the left; see child
	size  int64     // as the link to it says, in bytes; of a block that is not raw with all that is below
	node  ipld.Node // if it is at hand
}

func (w *walk) init() {
	w.seen = cid.NewSet()
	w.wake = make(chan struct{}, 1)
}

func (w *walk) push(s step) {
	w.steps = append(w.steps, s)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// begin walks the tree below root, until the loader ends.
func (l *loader) begin(root ipld.Node) {
	l.mu.Lock()
	l.walk.seen.Add(root.Cid())
	l.walking = true
	l.open++
	l.walk.push(step{cid: root.Cid(), node: root, place: child("", 0)})
	l.mu.Unlock()
	l.spawn(func() {
		for {
			select {
			case <-l.walk.wake:
			case <-l.ctx.Done():
				return
			}
			for l.ctx.Err() == nil {
				l.mu.Lock()
				n := len(l.walk.steps)
				if n == 0 {
					l.mu.Unlock()
					break
				}
				s := l.walk.steps[n-1]
				l.walk.steps = l.walk.steps[:n-1]
				l.mu.Unlock()
				if err := l.look(l.ctx, s); err != nil {
					l.end(err)
					return
				}
			}
		}
	})
}

// look looks at one block: it is asked for if it is not here, and its links are
// looked at next if it is.
func (l *loader) look(ctx context.Context, s step) error {
	l.held.claim(s.cid)
	here := s.node != nil
	if !here {
		var err error
		if here, err = l.spot(ctx, &s); err != nil {
			return err
		}
	}
	if !here {
		if _, err := l.need(s, true); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.done()
	if s.node == nil {
		return nil
	}
	links := s.node.Links()
	for i := len(links) - 1; i >= 0; i-- {
		if k := links[i]; l.walk.seen.Visit(k.Cid) {
			l.open++
			l.walk.push(step{cid: k.Cid, place: child(s.place, i), size: clamp(k.Size)})
		}
	}
	return nil
}

// spot looks for a block in memory and on the disk, and gives the step its node
// if that may have links. Most blocks are raw and link to nothing: one that is
// on the disk needs not be read.
func (l *loader) spot(ctx context.Context, s *step) (here bool, err error) {
	if s.cid.Type() != cid.Raw || s.cid.Equals(emptyFile.Cid()) {
		s.node, err = l.here(ctx, s.cid)
		return s.node != nil, err
	}
	l.mu.Lock()
	here = l.recent.get(s.cid) != nil
	l.mu.Unlock()
	if here {
		return true, nil
	}
	here, err = l.store.kubo.blocks.Has(ctx, s.cid)
	if here {
		l.mu.Lock()
		l.note(0, s.size)
		l.mu.Unlock()
	}
	return here, err
}
