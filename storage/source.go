package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/storage/blockstream"
)

const (
	// A source is asked for firstWindow bytes ahead at first, for twice as many
	// each time that it has answered all that, up to lastWindow, and for half as
	// many when it lets one request wait for slow.
	firstWindow = 1 << 20
	lastWindow  = 16 << 20
	slow        = 500 * time.Millisecond
	maxAsked    = 2048 // requests in flight to one source
	perWrite    = 256  // requests in one write
	// What has waited for stealAfter is asked of another source too, once there is
	// nothing else left to ask for.
	stealAfter = 300 * time.Millisecond
)

// source is a peer that speaks blockstream.
type source struct {
	l     *loader
	id    peer.ID
	conn  *blockstream.Client
	wake  chan struct{} // there may be something to ask for
	asked chan struct{} // there may be something to read

	// Guarded by the loader's mutex.
	has      bool  // it is known to have some of it, or was named
	queue    []ask // unanswered, the oldest first
	inFlight int64 // bytes, as guessed
	window   int64
}

// ask is one request to a source.
type ask struct {
	want  *want
	probe bool
	at    time.Time
}

func (a ask) size() int64 {
	if a.probe {
		return min(a.want.guess, blockstream.ProbeSize)
	}
	return a.want.guess
}

// nudge has the source look for something to ask for.
func (s *source) nudge() { signal(s.wake) }

var errWrongBytes = errors.New("it sent other bytes than the CID names")

// serve asks the source for what is wanted, and takes in what it answers, until
// the loader ends or the source fails.
func (s *source) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, s.conn.Close)()
	asking := make(chan struct{})
	go func() {
		defer close(asking)
		if err := s.askAll(ctx); err != nil {
			cancel(err)
		}
	}()
	err := s.answers(ctx)
	if cause := context.Cause(ctx); cause != nil {
		err = cause // what broke first
	}
	cancel(err)
	<-asking
	return err
}

// askAll sends requests as long as the window allows.
func (s *source) askAll(ctx context.Context) error {
	tick := time.NewTicker(stealAfter / 3)
	defer tick.Stop()
	for steal := false; ; {
		reqs := s.next(time.Now(), steal)
		steal = false
		if len(reqs) > 0 {
			if err := s.conn.Ask(s.l.answerTime(), reqs...); err != nil {
				return fmt.Errorf("asking it for blocks: %w", err)
			}
			signal(s.asked)
			continue
		}
		select {
		case <-s.wake:
		case <-tick.C:
			steal = true
		case <-ctx.Done():
			return nil
		}
	}
}

// answerTime is how long a source may send nothing while it is asked for
// something: half of patience, so that there is time for another. After as long
// without a block from anybody, Bitswap is asked too.
func (l *loader) answerTime() time.Duration { return l.store.patience / 2 }

// next chooses what to ask for, and counts it as asked. With steal, that can be
// what another source was asked for.
func (s *source) next(now time.Time, steal bool) []blockstream.Request {
	l := s.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sources[s.id] != s {
		return nil
	}
	var reqs []blockstream.Request
	take := func(w *want, probe bool) {
		kind := blockstream.Want
		if probe {
			kind = blockstream.Probe
		}
		a := ask{w, probe, now}
		s.queue = append(s.queue, a)
		s.inFlight += a.size()
		l.asking(w, s, probe, now)
		reqs = append(reqs, blockstream.Request{Kind: kind, CID: w.cid})
	}
	room := func(w *want) bool {
		return len(reqs) < perWrite && len(s.queue) < maxAsked && (s.inFlight+w.guess <= s.window || len(s.queue) == 0)
	}
	if s.has {
		var skipped []*want
		for l.todo.Len() > 0 && len(skipped) < perWrite && room(l.todo.wants[0]) {
			w := l.todo.first()
			if w.refused[s.id] {
				skipped = append(skipped, w)
				continue
			}
			take(w, false)
		}
		for _, w := range skipped {
			l.todo.add(w)
		}
	}
	if steal && len(reqs) == 0 && (!s.has || l.todo.Len() == 0) {
		s.steal(now, room, take)
	}
	if len(reqs) == 0 {
		for _, w := range l.lost {
			if !w.refused[s.id] && !slices.Contains(w.asked, s) && room(w) {
				take(w, true)
			}
		}
	}
	return reqs
}

// steal asks for what another source lets wait. A source that may have nothing
// is just asked whether it has.
func (s *source) steal(now time.Time, room func(*want) bool, take func(*want, bool)) {
	for _, w := range s.l.wants {
		if len(w.asked) == 1 && w.asked[0] != s && !w.refused[s.id] && now.Sub(w.since) > stealAfter && room(w) {
			take(w, !s.has)
		}
	}
}

// answers reads answers as long as there are requests that have none.
func (s *source) answers(ctx context.Context) error {
	for {
		a, ok := s.oldest()
		if !ok {
			select {
			case <-s.asked:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		got, err := s.conn.Next(s.l.answerTime())
		if err != nil {
			return fmt.Errorf("waiting for a block: %w", err)
		}
		if err := s.answered(a, got); err != nil {
			return err
		}
	}
}

func (s *source) oldest() (ask, bool) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if len(s.queue) == 0 {
		return ask{}, false
	}
	return s.queue[0], true
}

// answered takes in the answer to the oldest request.
func (s *source) answered(a ask, got blockstream.Answer) error {
	if got.Status == blockstream.Here && !a.probe {
		return fmt.Errorf("%w: it was asked for a block and says that it has it", blockstream.ErrMalformed)
	}
	var b blocks.Block
	if got.Status == blockstream.Block {
		if !blockstream.Verify(a.want.cid, got.Data) {
			s.l.store.accuse(s.id, a.want.cid)
			return fmt.Errorf("%w: block %s", errWrongBytes, a.want.cid)
		}
		var err error
		if b, err = blocks.NewBlockWithCid(got.Data, a.want.cid); err != nil {
			return err
		}
	}
	s.settle(a, got)
	s.nudge() // before the wait for the disk
	if b != nil {
		if err := s.l.took(a.want, b); err != nil {
			s.l.end(err)
			return err
		}
	}
	return nil
}

// accuse tells a peer beside that a block which it has sent is damaged: it may
// not know. The store waits for it when it is closed.
func (s *Store) accuse(id peer.ID, c cid.Cid) {
	ctx, end, err := s.begin(context.Background())
	if err != nil {
		return // the store is closed
	}
	go func() {
		defer end()
		if err := blockstream.Report(ctx, s.host, id, c); err != nil {
			s.log.Debug("a peer could not be told that it sent a damaged block", zap.Stringer("peer", id), zap.Stringer("cid", c), zap.Error(err))
		}
	}()
}

// settle takes the oldest request off the queue.
func (s *source) settle(a ask, got blockstream.Answer) {
	l := s.l
	l.mu.Lock()
	defer l.mu.Unlock()
	s.queue = s.queue[1:]
	s.inFlight -= a.size()
	w := a.want
	w.asked = slices.DeleteFunc(w.asked, func(o *source) bool { return o == s })
	if time.Since(a.at) > slow && len(s.queue) > 0 {
		s.window = max(s.window/2, firstWindow)
	} else {
		s.window = min(s.window+a.size(), lastWindow)
	}
	if got.Status != blockstream.None {
		l.hasSome(s)
	}
	if l.wants[w.cid] != w {
		return // another was faster
	}
	if got.Status == blockstream.None {
		if w.refused == nil {
			w.refused = map[peer.ID]bool{}
		}
		w.refused[s.id] = true
	}
	if got.Status != blockstream.Block {
		l.assign(w)
	}
}

// hasSome notes that a source has some of what is wanted: it is asked for all of
// it from now on.
func (l *loader) hasSome(s *source) {
	if s.has {
		return
	}
	s.has = true
	for _, w := range l.lost {
		l.assign(w)
	}
}

// leave takes a source out, and gives what it was asked for to others.
func (l *loader) leave(s *source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sources, s.id)
	for _, a := range s.queue {
		a.want.asked = slices.DeleteFunc(a.want.asked, func(o *source) bool { return o == s })
		if l.wants[a.want.cid] == a.want {
			l.assign(a.want)
		}
	}
	s.queue = nil
	for _, w := range slices.Clone(l.todo.wants) { // it may have been the only one
		l.assign(w)
	}
	for _, w := range l.lost {
		l.assign(w)
	}
}

// warn says which peer failed, and how, where that is not just that it went away.
func (s *source) warn(err error) {
	log, say := s.l.store.log, s.l.store.log.Debug
	if errors.Is(err, errWrongBytes) || errors.Is(err, blockstream.ErrMalformed) {
		say = log.Warn
	}
	say("a peer is asked for no more blocks of a fetch", zap.Stringer("peer", s.id), zap.Stringer("fetch", s.l.ref), zap.Error(err))
}
