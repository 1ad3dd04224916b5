package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/verifcid"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p/core/peer"
)

// loader brings what one reference names onto this disk.
//
//	      links of what is here           verified blocks
//	┌─────────────────┐ needs  ┌───────────────┐      ┌────────────┐
//	│ walk (walk.go)  ├───────►│ wants         ├─────►│ disk       │
//	└────────▲────────┘        │ (wants.go)    │      │ (keep.go)  │
//	         │                 └─▲───────────▲─┘      └─────┬──────┘
//	         │  sources (source.go)          │ Bitswap      │
//	         │  a stream each, in many       │ (swap.go)    │
//	         └───────────────────────────────┴──────────────┘
//
// Sources are peers that speak blockstream; scout.go finds them. What none of
// them has, Bitswap asks everybody for. As a NodeGetter the loader hands out
// blocks as soon as they are here, so that a reader need not wait for the rest.
type loader struct {
	store *Store
	ref   Ref
	held  *hold           // claims each block, so that no Add that fails takes it away
	ctx   context.Context // ends with the call, with patience, or with a failure
	end   context.CancelCauseFunc
	tasks sync.WaitGroup // all that the loader has started
	named []peer.AddrInfo
	swap  ipld.NodeGetter // a Bitswap session: peers that had one block are asked for the next
	disk  chan blocks.Block
	once  struct{ scout, disk sync.Once }
	timer *time.Timer // patience

	mu       sync.Mutex
	wants    map[cid.Cid]*want // what is not here yet; see want
	lost     map[cid.Cid]*want
	todo     wantHeap
	swaps    wantHeap // what Bitswap is to be asked for
	workers  int      // that ask Bitswap
	sources  map[peer.ID]*source
	tried    map[peer.ID]bool // peers that are sources, or are to be, or never again
	absent   int              // of them, those that may well have it and cannot be reached
	searched bool             // the routing has been asked
	walk     walk
	recent   recent
	open     int           // wants, blocks on their way to the disk, nodes to be walked
	walking  bool          // the tree is walked
	idle     chan struct{} // has something when open has become 0
	state    Progress
	latest   time.Time // when the latest block came
	stopped  bool
}

var errPatience = errors.New("no block came for too long")

// newLoader makes a loader that does nothing until it is asked for something;
// stop must be called.
func (s *Store) newLoader(ctx context.Context, r Ref, held *hold, o fetching) *loader {
	l := &loader{
		store: s, ref: r, held: held, named: o.from[:min(len(o.from), maxNamed)],
		disk: make(chan blocks.Block, 64), idle: make(chan struct{}, 1), sources: map[peer.ID]*source{}, tried: map[peer.ID]bool{},
		wants: map[cid.Cid]*want{}, lost: map[cid.Cid]*want{},
		todo:  wantHeap{at: func(w *want) *int { return &w.todo }},
		swaps: wantHeap{at: func(w *want) *int { return &w.queued }},
	}
	l.ctx, l.end = context.WithCancelCause(ctx)
	l.swap = merkledag.NewSession(l.ctx, s.kubo.dag)
	l.mu.Lock() // against a timer that is due before it is known here
	defer l.mu.Unlock()
	l.latest = time.Now()
	l.timer = time.AfterFunc(s.patience, l.impatient)
	l.walk.init()
	l.recent.limit = o.recent
	return l
}

// impatient ends the loader, unless it is just its reader who is slow.
func (l *loader) impatient() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wants) > 0 {
		l.end(errPatience)
	} else if !l.stopped {
		l.timer.Reset(l.store.patience)
	}
}

// stop ends everything that the loader has started, and waits for it.
func (l *loader) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.timer.Stop()
	l.end(nil)
	l.tasks.Wait()
}

// spawn runs f beside, unless the loader has stopped: readers of the UnixFS
// library read ahead in goroutines of their own, a little longer than they live.
func (l *loader) spawn(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped {
		l.tasks.Go(f)
	}
	return !l.stopped
}

// emptyFile is the block of a file without content. It is made where it is
// needed: Bitswap takes a block of no bytes for one that the peer does not have.
var emptyFile = func() *merkledag.RawNode {
	nd, err := merkledag.NewRawNodeWPrefix(nil, profile().CidBuilder())
	if err != nil {
		panic(err) // SHA-256 of nothing
	}
	return nd
}()

// Get gets one block from memory, from this disk or from peers, the last of
// which before all that is not waited for.
func (l *loader) Get(ctx context.Context, c cid.Cid) (ipld.Node, error) {
	l.held.claim(c)
	for {
		nd, err := l.here(ctx, c)
		if nd != nil || err != nil {
			return nd, err
		}
		w, err := l.need(step{cid: c, place: urgent}, false)
		if err != nil {
			return nil, err
		}
		select {
		case <-w.had:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-l.ctx.Done():
			return nil, context.Cause(l.ctx)
		}
	}
}

// here is a block that is in memory or on the disk, or nil.
func (l *loader) here(ctx context.Context, c cid.Cid) (ipld.Node, error) {
	l.mu.Lock()
	b := l.recent.get(c)
	l.mu.Unlock()
	if b != nil {
		return decode(b)
	}
	return l.local(ctx, c)
}

// local is a block that is on this disk, or nil. One that is damaged is not; see
// damage.
func (l *loader) local(ctx context.Context, c cid.Cid) (ipld.Node, error) {
	if c.Equals(emptyFile.Cid()) {
		return emptyFile, l.store.kubo.dag.Add(ctx, emptyFile)
	}
	nd, err := l.store.kubo.local.Get(ctx, c)
	switch {
	case err == nil:
		return nd, nil
	case ipld.IsNotFound(err):
		return nil, nil
	}
	return nil, err
}

// GetMany is part of the NodeGetter.
func (l *loader) GetMany(ctx context.Context, cs []cid.Cid) <-chan *ipld.NodeOption {
	out := make(chan *ipld.NodeOption, len(cs))
	started := l.spawn(func() {
		defer close(out)
		for _, c := range cs {
			nd, err := l.Get(ctx, c)
			out <- &ipld.NodeOption{Node: nd, Err: err}
		}
	})
	if !started {
		close(out)
	}
	return out
}

// need asks for a block that is not here, or moves it forward if that is done
// already. With walk, its links are looked at when it is here.
func (l *loader) need(s step, walk bool) (*want, error) {
	if err := verifcid.ValidateCid(verifcid.DefaultAllowlist, s.cid); err != nil {
		return nil, fmt.Errorf("block %s is named by a hash that is not safe: %w", s.cid, err)
	}
	l.once.scout.Do(l.scout)
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.wants[s.cid]
	if w == nil {
		w = newWant(s)
		l.wants[s.cid] = w
		l.open++
		l.assign(w)
	} else if s.place < w.place {
		l.forward(w, s.place)
	}
	w.walk = w.walk || walk
	return w, nil
}

// decode makes a block into a node.
func decode(b blocks.Block) (ipld.Node, error) {
	switch b.Cid().Type() {
	case cid.Raw:
		return merkledag.DecodeRawBlock(b)
	case cid.DagProtobuf:
		return merkledag.DecodeProtobufBlock(b)
	}
	return nil, fmt.Errorf("block %s is neither a file nor a folder", b.Cid())
}

// load brings everything that a reference names onto this disk, where held keeps
// it until the caller is done with it, and returns its root. read, if it is not
// nil, is called with the root as soon as that is here, and reads the rest from
// the loader as it comes; what it returns is the second error.
func (s *Store) load(ctx context.Context, r Ref, held *hold, o fetching, read func(context.Context, ipld.NodeGetter, ipld.Node) error) (nd ipld.Node, err, readErr error) {
	if read != nil {
		o.recent = recentBytes
	}
	l := s.newLoader(ctx, r, held, o)
	defer l.stop()
	if nd, err = find(l.ctx, l, r); err != nil {
		return nil, l.explain(err), nil
	}
	if err = s.makeRoomFor(ctx, nd, held); err != nil {
		return nil, fmt.Errorf("fetching %s: %w", r, s.ended(ctx, err)), nil
	}
	end := l.report(nd)
	defer func() { end(err == nil && readErr == nil) }()
	l.begin(nd)
	if read != nil {
		if readErr = read(l.ctx, l, nd); readErr != nil && context.Cause(l.ctx) == nil {
			return nil, nil, readErr
		}
	}
	for !l.complete() {
		select {
		case <-l.idle:
		case <-l.ctx.Done():
			return nil, l.explain(context.Cause(l.ctx)), nil
		}
	}
	return nd, nil, readErr
}

// complete reports whether all is here. After that a reader may still find that
// a block is damaged, and need it again.
func (l *loader) complete() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open == 0
}

// done says that one of the things that open counts is dealt with.
func (l *loader) done() {
	if l.open--; l.open == 0 && l.walking {
		signal(l.idle)
	}
}

// explain says what a failure was for the user: at the end of patience that is
// a NotFoundError. Errors of the caller's own are left as they are.
func (l *loader) explain(err error) error {
	if err == nil {
		return nil
	}
	cause := context.Cause(l.ctx)
	if cause != errPatience && cause != errNobody {
		return fmt.Errorf("fetching %s: %w", l.ref, l.store.ended(l.ctx, err))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &NotFoundError{
		Ref: l.ref.String(), CID: l.ref.CID.String(), Blocks: l.state.Blocks,
		Peers: len(l.store.host.Network().Peers()), Waited: l.store.patience,
	}
	if cause == errNobody {
		e.Denied, e.Waited = true, l.store.patience/certain
	}
	var first *want
	for _, w := range l.wants {
		if first == nil || w.place < first.place {
			first = w
		}
	}
	if first != nil {
		e.CID = first.cid.String()
		if d := l.store.kubo.damage; d.is(first.cid) {
			e.File = d.file(first.cid)
		}
	}
	return e
}
