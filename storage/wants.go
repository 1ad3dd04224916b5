package storage

import (
	"container/heap"
	"context"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-mesh/shoal/storage/blockstream"
)

// want is a block that is not here yet. At any time
//
//	asked            sources are asked for it and have not answered;
//	or todo          it is in the heap of what to ask sources for that are known
//	                 to have some of what is fetched;
//	or lost          no such source could be asked: the others are asked whether
//	                 they have it, and
//	beside that swap where no source is left that could be asked, Bitswap is.
type want struct {
	step
	walk  bool  // its links are to be looked at when it is here
	guess int64 // how large it may be, in bytes

	todo, queued int                // places in the heaps todo and swaps, -1 for none
	asked        []*source          // that have not answered
	since        time.Time          // when the last of them was asked
	refused      map[peer.ID]bool   // that said that it is not there
	swap         bool               // Bitswap is, or is to be, asked
	unswap       context.CancelFunc // calls that off; nil until it is asked
	had          chan struct{}      // closed when it is here
}

func newWant(s step) *want {
	return &want{step: s, guess: guess(s.cid, s.size), had: make(chan struct{}), todo: -1, queued: -1}
}

// urgent is the place of what a reader waits for.
const urgent = ""

// maxPlace bounds the length of a place, which grows by 4 bytes from a block to
// those that it links to: a tree that is deeper is no longer told apart there.
const maxPlace = 1 << 10

// child is the place of the i-th link of a block.
func child(place string, i int) string {
	if len(place) >= maxPlace {
		return place
	}
	return place + string([]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
}

// guess is what a block may take on its way, in bytes.
func guess(c cid.Cid, size int64) int64 {
	const overhead = 64
	switch {
	case !isRaw(c): // the size is that of all that is below
		return min(max(size, 1<<10), 64<<10)
	case size <= 0:
		return 256 << 10
	}
	return min(size, blockstream.MaxBlock) + overhead
}

// wantHeap has the want with the first place first.
type wantHeap struct {
	wants []*want
	at    func(*want) *int // where a want keeps its place in this heap
}

func (h *wantHeap) Len() int           { return len(h.wants) }
func (h *wantHeap) Less(i, j int) bool { return h.wants[i].place < h.wants[j].place }
func (h *wantHeap) Swap(i, j int) {
	h.wants[i], h.wants[j] = h.wants[j], h.wants[i]
	*h.at(h.wants[i]), *h.at(h.wants[j]) = i, j
}
func (h *wantHeap) Push(x any) {
	w := x.(*want)
	*h.at(w) = len(h.wants)
	h.wants = append(h.wants, w)
}
func (h *wantHeap) Pop() any {
	last := len(h.wants) - 1
	w := h.wants[last]
	h.wants[last] = nil
	h.wants = h.wants[:last]
	*h.at(w) = -1
	return w
}

func (h *wantHeap) add(w *want) {
	if *h.at(w) < 0 {
		heap.Push(h, w)
	}
}

func (h *wantHeap) remove(w *want) {
	if i := *h.at(w); i >= 0 {
		heap.Remove(h, i)
	}
}

func (h *wantHeap) fix(w *want) {
	if i := *h.at(w); i >= 0 {
		heap.Fix(h, i)
	}
}

func (h *wantHeap) first() *want { return heap.Pop(h).(*want) }

// assign puts a want that nobody is asked for where somebody will see it. The
// caller holds the mutex, as with all below.
func (l *loader) assign(w *want) {
	if len(w.asked) > 0 {
		return
	}
	can, maybe := false, false
	for id, s := range l.sources {
		if !w.refused[id] {
			can, maybe = can || s.has, true
		}
	}
	if can {
		delete(l.lost, w.cid)
		l.todo.add(w)
	} else {
		l.lost[w.cid] = w
		l.todo.remove(w)
	}
	if !maybe {
		l.toBitswap(w)
	}
	for _, s := range l.sources {
		s.nudge()
	}
}

// forward moves a want to an earlier place.
func (l *loader) forward(w *want, place string) {
	w.place = place
	l.todo.fix(w)
	l.swaps.fix(w)
}

// asking notes that a source is asked for a want.
func (l *loader) asking(w *want, s *source, probe bool, now time.Time) {
	l.todo.remove(w)
	if !probe {
		delete(l.lost, w.cid)
		l.noSwap(w)
	}
	w.asked = append(w.asked, s)
	w.since = now
}

// forget takes a want out of all lists: it is here.
func (l *loader) forget(w *want) {
	delete(l.wants, w.cid)
	delete(l.lost, w.cid)
	l.todo.remove(w)
	l.noSwap(w)
	close(w.had)
	signal(l.walk.wake)
}
