package storage

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/storage/blockstream"
)

const (
	maxNamed   = 8  // providers that are dialled for one fetch because the caller named them
	maxSources = 64 // peers that are asked side by side, at random where there are more
	// searchAfter is how long connected peers have to say that they have it
	// before others are searched for.
	searchAfter = 50 * time.Millisecond
	maxFound    = 8 // providers that a search brings
	searchTime  = 10 * time.Second
	dialTime    = 10 * time.Second
	firstRedial = 100 * time.Millisecond // doubled after each failure
	lastRedial  = 5 * time.Second
)

// certain is the part of patience after which a fetch ends early, if every
// connected peer has said that it does not have what is missing, and nobody is
// known who could. It is not at once: a node that joins in the meantime, or a
// result that is being published, should be found.
const certain = 6

var errNobody = errors.New("nobody has it")

// scout begins to look for sources: the peers that were named first, those that
// are connected at once, and, while none of them has what is missing, those that
// the routing knows. It goes on until the loader ends, as peers come and go.
func (l *loader) scout() {
	for _, p := range l.named {
		l.attend(p, true)
	}
	l.spawn(func() {
		sub, err := l.store.host.EventBus().Subscribe([]any{new(event.EvtPeerIdentificationCompleted)}, eventbus.BufSize(256))
		if err != nil {
			l.end(err)
			return
		}
		defer sub.Close()
		connected := l.store.host.Network().Peers()
		rand.Shuffle(len(connected), func(i, j int) { connected[i], connected[j] = connected[j], connected[i] })
		for _, id := range connected {
			l.meet(id, len(connected) == 1)
		}
		l.watch(sub)
	})
	l.spawn(l.search)
}

// watch looks after what the others do not: new peers, and the moment from which
// there is no point in waiting.
func (l *loader) watch(sub event.Subscription) {
	const every = 20
	tick := time.NewTicker(max(l.store.patience/certain/every, time.Millisecond))
	defer tick.Stop()
	for hopeless := 0; ; {
		select {
		case <-l.ctx.Done():
			return
		case e, ok := <-sub.Out():
			if !ok {
				return
			}
			l.meet(e.(event.EvtPeerIdentificationCompleted).Peer, false)
		case <-tick.C:
			l.relieve()
			if !l.hopeless() {
				hopeless = 0
			} else if hopeless++; hopeless >= every {
				l.end(errNobody)
				return
			}
		}
	}
}

// relieve has Bitswap asked for everything when sources have brought no block
// for half of patience.
func (l *loader) relieve() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.latest) > l.answerTime() {
		for _, w := range l.wants {
			l.toBitswap(w)
		}
	}
}

// hopeless reports whether each block that is missing was denied by all
// connected peers, there is at least one of those, and the routing knows none.
func (l *loader) hopeless() bool {
	connected := l.store.host.Network().Peers()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(connected) == 0 || len(l.wants) == 0 || !l.searched || l.absent > 0 {
		return false
	}
	for _, w := range l.wants {
		for _, id := range connected {
			if !w.refused[id] {
				return false
			}
		}
	}
	return true
}

// meet makes a connected peer a source, if it speaks the protocol.
func (l *loader) meet(id peer.ID, alone bool) {
	speaks, err := l.store.host.Peerstore().SupportsProtocols(id, blockstream.Protocol)
	if err != nil || len(speaks) == 0 {
		return
	}
	l.attend(peer.AddrInfo{ID: id}, alone)
}

// attend connects to a peer, unless that is done already, and asks it until the
// loader ends. With likely, it is taken to have what is wanted.
func (l *loader) attend(p peer.AddrInfo, likely bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.ID == l.store.host.ID() || l.tried[p.ID] || len(l.tried) >= maxSources || l.stopped {
		return
	}
	l.tried[p.ID] = true
	l.tasks.Go(func() {
		if l.visit(p, likely) {
			l.mu.Lock()
			defer l.mu.Unlock()
			delete(l.tried, p.ID)
		}
	})
}

// visit asks a peer as long as it answers. One that had something, or should
// have, and breaks off is tried again and again; others come back by themselves,
// if at all. It reports whether they may.
func (l *loader) visit(p peer.AddrInfo, likely bool) (again bool) {
	if likely {
		l.away(1)
		defer l.away(-1)
	}
	for pause := firstRedial; ; pause = min(2*pause, lastRedial) {
		conn, err := l.reach(p)
		if err == nil {
			if likely {
				l.away(-1)
			}
			s := l.join(p.ID, conn, likely)
			err = s.serve(l.ctx)
			l.leave(s)
			if likely {
				l.away(1)
			}
			if l.ctx.Err() != nil {
				return false
			}
			s.warn(err)
			if errors.Is(err, errWrongBytes) || errors.Is(err, blockstream.ErrMalformed) {
				return false
			}
			if s.has && !likely {
				likely = true
				l.away(1)
				defer l.away(-1)
			}
			pause = firstRedial
		} else if l.ctx.Err() == nil {
			l.store.log.Debug("a peer could not be asked for blocks", zap.Stringer("peer", p.ID), zap.Error(err))
		}
		if !likely {
			return true
		}
		select {
		case <-time.After(pause):
		case <-l.ctx.Done():
			return false
		}
	}
}

// away counts the peers that may well have it and cannot be reached now.
func (l *loader) away(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.absent += n
}

// reach opens a stream to a peer, connecting to it if need be.
func (l *loader) reach(p peer.AddrInfo) (*blockstream.Client, error) {
	ctx, cancel := context.WithTimeout(l.ctx, dialTime)
	defer cancel()
	if l.store.host.Network().Connectedness(p.ID) != network.Connected {
		if err := l.store.host.Connect(ctx, p); err != nil {
			return nil, err
		}
	}
	return blockstream.Open(ctx, l.store.host, p.ID)
}

// join makes a peer a source.
func (l *loader) join(id peer.ID, conn *blockstream.Client, has bool) *source {
	s := &source{l: l, id: id, conn: conn, has: has, window: firstWindow, wake: make(chan struct{}, 1), asked: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sources[id] = s
	for _, w := range l.lost {
		l.assign(w)
	}
	s.nudge()
	return s
}

// search has the routing find providers while something is missing that no
// source has, and again after a while.
func (l *loader) search() {
	for pause := searchAfter; ; pause = max(2*pause, l.store.patience/certain/2) {
		select {
		case <-time.After(pause):
		case <-l.ctx.Done():
			return
		}
		l.mu.Lock()
		supplied := len(l.lost) == 0
		l.mu.Unlock()
		if supplied {
			continue
		}
		ctx, cancel := context.WithTimeout(l.ctx, searchTime)
		for p := range l.store.routing.FindProvidersAsync(ctx, l.ref.CID, maxFound) {
			l.attend(p, true)
		}
		cancel()
		l.mu.Lock()
		l.searched = true
		l.mu.Unlock()
	}
}
