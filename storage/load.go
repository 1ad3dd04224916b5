package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/zap"
)

const (
	// inFlight blocks of up to 1 MiB are asked for at a time. Bitswap gathers
	// wants for 20 ms before it sends, so that few in flight means slow.
	inFlight = 64
	// maxProviders that are dialled for one fetch, and how long the fetch waits
	// for the first of them to answer.
	maxProviders = 8
	dialWait     = 5 * time.Second
)

// load brings everything that a reference names onto this disk, where held keeps
// it until the caller is done with it, and returns its root.
func (s *Store) load(ctx context.Context, r Ref, held *hold, providers []peer.AddrInfo) (ipld.Node, error) {
	defer s.dial(ctx, providers)()
	l := s.newLoader(ctx, r, held)
	defer l.stop()
	nd, err := find(l.ctx, l, r)
	if err == nil {
		err = l.rest(nd.Cid())
	}
	return nd, l.explain(err)
}

// dial connects to the providers and returns as soon as the first of them is
// connected, none of them could be, or dialWait is over. The function that it
// returns ends the other attempts.
func (s *Store) dial(ctx context.Context, providers []peer.AddrInfo) (stop func()) {
	providers = providers[:min(len(providers), maxProviders)]
	if len(providers) == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	first, cancelFirst := context.WithTimeout(ctx, dialWait)
	var dials sync.WaitGroup
	for _, p := range providers {
		dials.Go(func() {
			if p.ID == s.host.ID() {
				return
			}
			if err := s.host.Connect(ctx, p); err != nil {
				s.log.Debug("a provider that was named could not be reached", zap.Stringer("peer", p.ID), zap.Error(err))
				return
			}
			cancelFirst()
		})
	}
	all := make(chan struct{})
	go func() {
		dials.Wait()
		close(all)
	}()
	select {
	case <-all:
	case <-first.Done():
	}
	return func() {
		cancel()
		cancelFirst()
		<-all
	}
}

// loader gets the blocks of one reference and gives up when none comes for too
// long. As a NodeGetter it serves one call of load.
type loader struct {
	store  *Store
	ref    Ref
	held   *hold           // claims each block, so that no Add that fails takes it away
	ctx    context.Context // ends when patience does
	cancel context.CancelCauseFunc
	timer  *time.Timer
	get    ipld.NodeGetter // a Bitswap session: peers that had one block are asked for the next

	mu      sync.Mutex
	waiting map[cid.Cid]int // blocks asked for, and by how many
	got     int
	round   context.Context // of asking; ends when it is time to ask again
	next    context.CancelFunc
	pause   time.Duration // without a block, until the next round
	stall   *time.Timer
}

// askAgain is the part of patience after which peers that sent nothing are asked
// once more; then twice that, and so on. A request can be lost when it is sent
// just as a connection comes or goes, and Bitswap says it again by itself only
// after 30 s.
const askAgain = 6

// emptyFile is the block of a file without content. It is made where it is
// needed: Bitswap takes a block of no bytes for one that the peer does not have.
var emptyFile = func() *merkledag.RawNode {
	nd, err := merkledag.NewRawNodeWPrefix(nil, profile().CidBuilder())
	if err != nil {
		panic(err) // SHA-256 of nothing
	}
	return nd
}()

var errPatience = errors.New("no block came for too long")

func (s *Store) newLoader(ctx context.Context, r Ref, held *hold) *loader {
	l := &loader{store: s, ref: r, held: held, waiting: map[cid.Cid]int{}}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.get = merkledag.NewSession(l.ctx, s.kubo.dag)
	l.timer = time.AfterFunc(s.patience, func() { l.cancel(errPatience) })
	l.round, l.next = context.WithCancel(l.ctx)
	l.pause = s.patience / askAgain
	l.mu.Lock() // against a timer that is due before it is known here
	defer l.mu.Unlock()
	l.stall = time.AfterFunc(l.pause, l.nextRound)
	return l
}

// nextRound has every block that is waited for asked for again.
func (l *loader) nextRound() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next()
	if l.ctx.Err() != nil {
		return
	}
	l.round, l.next = context.WithCancel(l.ctx)
	l.pause *= 2
	l.stall.Reset(l.pause)
}

// ask asks for a block, in as many rounds as it takes.
func (l *loader) ask(ctx context.Context, c cid.Cid) (ipld.Node, error) {
	for {
		l.mu.Lock()
		round := l.round
		l.mu.Unlock()
		asking, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(round, cancel)
		nd, err := l.get.Get(asking, c)
		stop()
		cancel()
		if err == nil || ctx.Err() != nil || round.Err() == nil {
			return nd, err
		}
	}
}

func (l *loader) stop() {
	l.cancel(nil)
	l.timer.Stop()
	l.stall.Stop()
}

// Get gets one block from this disk or from peers.
func (l *loader) Get(ctx context.Context, c cid.Cid) (ipld.Node, error) {
	l.held.claim(c)
	if c.Equals(emptyFile.Cid()) {
		return emptyFile, l.store.kubo.dag.Add(ctx, emptyFile)
	}
	l.mu.Lock()
	l.waiting[c]++
	l.mu.Unlock()
	nd, err := l.ask(ctx, c)
	if err != nil {
		return nil, err // c stays among those waited for, for explain
	}
	l.mu.Lock()
	if l.waiting[c]--; l.waiting[c] == 0 {
		delete(l.waiting, c)
	}
	l.got++
	l.pause = l.store.patience / askAgain
	l.stall.Reset(l.pause)
	l.mu.Unlock()
	l.timer.Reset(l.store.patience)
	return nd, nil
}

// GetMany is part of the NodeGetter that find hands on; nothing calls it there.
func (l *loader) GetMany(ctx context.Context, cs []cid.Cid) <-chan *ipld.NodeOption {
	out := make(chan *ipld.NodeOption, len(cs))
	defer close(out)
	for _, c := range cs {
		nd, err := l.Get(ctx, c)
		out <- &ipld.NodeOption{Node: nd, Err: err}
	}
	return out
}

// rest gets everything below a root.
func (l *loader) rest(root cid.Cid) error {
	seen := cid.NewSet()
	return merkledag.Walk(l.ctx, l.links, root, seen.Visit, merkledag.Concurrency(inFlight))
}

// links gets a block and returns what it links to.
func (l *loader) links(ctx context.Context, c cid.Cid) ([]*ipld.Link, error) {
	if c.Type() == cid.Raw {
		// Most blocks are raw and link to nothing: one that is here needs not be
		// read.
		l.held.claim(c)
		if here, err := l.store.kubo.blocks.Has(ctx, c); err != nil || here {
			return nil, err
		}
	}
	nd, err := l.Get(ctx, c)
	if err != nil {
		return nil, err
	}
	return nd.Links(), nil
}

// explain says what a failure was for the user: at the end of patience that is
// a NotFoundError.
func (l *loader) explain(err error) error {
	if err == nil {
		return nil
	}
	if context.Cause(l.ctx) != errPatience {
		return fmt.Errorf("fetching %s: %w", l.ref, l.store.ended(l.ctx, err))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &NotFoundError{
		Ref: l.ref.String(), CID: l.ref.CID.String(), Blocks: l.got,
		Peers: len(l.store.host.Network().Peers()), Waited: l.store.patience,
	}
	for c := range l.waiting {
		e.CID = c.String()
		break
	}
	return e
}
