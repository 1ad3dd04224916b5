package storage

import (
	"container/heap"
	"context"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// Bounds of a walk. A block of 2 MiB can hold 50 thousand links to blocks of as
// many, so that whoever makes a tree for it could fill this machine's memory with
// what is still to be fetched.
const (
	// maxWants blocks are asked for at a time, or a few more for the readers of
	// what is here.
	maxWants = 16 << 10
	// maxAhead bytes, about, are taken by what is known of and not looked at yet.
	// A tree of honest files needs a few: it is walked from left to right, and a
	// block has a thousand links.
	maxAhead = 64 << 20
	// maxBlocks may be in one tree: a file of 2 TiB. Each takes 400 bytes.
	maxBlocks = 2 << 20
	// maxAtHand steps keep their nodes in memory; those of others are read again.
	maxAtHand = 1 << 10
)

var (
	errTooWide    error = limitError("its blocks link to more others than are kept in mind at a time")
	errManyBlocks error = limitError("it has more blocks than one reference may")
)

// walk is what is still to be looked at for links, from left to right.
type walk struct {
	steps stepHeap
	ahead int // bytes that steps take
	seen  *cid.Set
	wake  chan struct{}
}

// stepHeap has the step with the first place first.
type stepHeap []step

func (h stepHeap) Len() int           { return len(h) }
func (h stepHeap) Less(i, j int) bool { return h[i].place < h[j].place }
func (h stepHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *stepHeap) Push(x any)        { *h = append(*h, x.(step)) }
func (h *stepHeap) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = step{}
	*h = (*h)[:last]
	return s
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
	if len(w.steps) >= maxAtHand {
		s.node = nil
	}
	heap.Push(&w.steps, s)
	w.ahead += s.bytes()
	signal(w.wake)
}

func (w *walk) pop() step {
	s := heap.Pop(&w.steps).(step)
	w.ahead -= s.bytes()
	return s
}

// bytes is about what a step takes.
func (s step) bytes() int { return 200 + len(s.place) }

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
				if len(l.walk.steps) == 0 || len(l.wants) >= maxWants { // forget wakes it
					l.mu.Unlock()
					break
				}
				s := l.walk.pop()
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
			if l.walk.ahead > maxAhead {
				return errTooWide
			}
		}
	}
	if l.walk.seen.Len() > maxBlocks {
		return errManyBlocks
	}
	return nil
}

// spot looks for a block in memory and on the disk, and gives the step its node
// if that may have links. Most blocks are raw and link to nothing: one that is
// on the disk needs not be read.
func (l *loader) spot(ctx context.Context, s *step) (here bool, err error) {
	if !isRaw(s.cid) || s.cid.Equals(emptyFile.Cid()) {
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
