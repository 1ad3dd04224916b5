package scheduler

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Receive takes in a message from the peer at the other end of a stream. An
// error means that the frame is no message of this protocol.
func (s *Scheduler) Receive(from job.PeerID, frame []byte) error {
	m, err := Decode(frame)
	if err != nil {
		return err
	}
	s.put(Received{From: from, Message: m})
	return nil
}

// ReceiveBid takes in a standing bid that DecodeBid has let through.
func (s *Scheduler) ReceiveBid(from job.PeerID, b Bid) { s.put(BidSeen{From: from, Bid: b}) }

// PeerSeen says that a peer is there, or that its labels changed.
func (s *Scheduler) PeerSeen(p Peer) { s.put(PeerSeen(p)) }

// PeerGone says that a peer's process of this boot has ended for certain, and
// without a word: what it ran is lost, and perhaps because it ran it. A peer that
// is only unreachable is left to its lease.
func (s *Scheduler) PeerGone(id job.PeerID, boot uint64, why string) {
	s.put(PeerGone{ID: id, Boot: boot, Why: why})
}

// PeerLeft says that a peer's process of this boot has said goodbye, or that
// another one has taken its place: what it ran is lost, and no job is to blame.
func (s *Scheduler) PeerLeft(id job.PeerID, boot uint64, why string) {
	s.put(PeerGone{ID: id, Boot: boot, Why: why, Left: true})
}

// put hands an input to the loop, waiting while it is behind.
func (s *Scheduler) put(in any) {
	select {
	case s.inbox <- in:
	case <-s.done:
	}
}

// inLoop runs f in the loop and gives what it returns. The loop may still run f
// when ctx has ended and the caller has gone on: f must not write to anything of
// the caller's.
func inLoop[T any](ctx context.Context, s *Scheduler, f func() T) (T, error) {
	var none T
	got := make(chan T, 1)
	select {
	case s.inbox <- func() { got <- f() }:
	case <-s.done:
		return none, ErrStopped
	case <-ctx.Done():
		return none, ctx.Err()
	}
	select {
	case v := <-got:
		return v, nil
	case <-s.done:
		select {
		case v := <-got:
			return v, nil
		default:
			return none, ErrStopped
		}
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// call hands in an input that Core answers.
func (s *Scheduler) call(ctx context.Context, in func(call uint64) Input) error {
	reply := make(chan error, 1)
	call, err := inLoop(ctx, s, func() uint64 {
		s.lastCall++
		call := s.lastCall
		s.calls[call] = reply
		s.doCore(s.core.Step(s.now(), in(call)))
		return call
	})
	if err != nil {
		return err
	}
	select {
	case err := <-reply:
		return err
	case <-s.done:
		select {
		case err := <-reply:
			return err
		default:
			return ErrStopped
		}
	case <-ctx.Done():
		s.put(func() { delete(s.calls, call) })
		return ctx.Err()
	}
}

// Submit makes a job of spec, whose defaults are filled in and whose references
// are all ipfs:// ones. It returns when the job is on disk. The same nonce and
// spec give the same job, so that a caller who lost the answer may ask again; the
// same nonce with another spec is ErrConflict. A spec that no peer would take is
// ErrSpec.
func (s *Scheduler) Submit(ctx context.Context, spec job.Spec, nonce string) (job.ID, error) {
	id := job.NewID(s.cfg.Ledger, nonce)
	b, err := placeable(id, spec)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSpec, err)
	}
	in := Submit{ID: id, Spec: spec, Submission: digest(nonce, b)}
	err = s.call(ctx, func(call uint64) Input { in.Call = call; return in })
	if err != nil {
		return "", fmt.Errorf("submitting: %w", err)
	}
	return id, nil
}

// placeable returns the encoded spec of a job, or why no executor would take it.
func placeable(id job.ID, spec job.Spec) ([]byte, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := spec.Resolved(); err != nil {
		return nil, err
	}
	b, err := encoding.Marshal(spec)
	switch {
	case err != nil:
		return nil, fmt.Errorf("encoding the spec: %w", err)
	case len(b) > MaxSpec:
		return nil, fmt.Errorf("its spec has %d bytes, at most %d are taken; put data into inputs", len(b), MaxSpec)
	}
	if err := readable(Award{Attempt: job.Attempt{Job: id, Attempt: 1}, Spec: spec}); err != nil {
		return nil, fmt.Errorf("no peer could read it: %w; put long lists and odd text into inputs", err)
	}
	return b, nil
}

// digest tells submissions apart.
func digest(nonce string, spec []byte) []byte {
	n, s := sha256.Sum256([]byte(nonce)), sha256.Sum256(spec)
	sum := sha256.Sum256(slices.Concat([]byte("shoal submission\x00"), n[:], s[:]))
	return sum[:]
}

// Cancel ends a job, and returns it as it is then. Its error is ErrEnded if the
// job had ended already, or ended in another way before the cancel was durable.
func (s *Scheduler) Cancel(ctx context.Context, prefix, reason string) (job.Job, error) {
	j, err := s.Job(ctx, prefix)
	if err != nil {
		return job.Job{}, err
	}
	err = s.call(ctx, func(call uint64) Input { return Cancel{Call: call, ID: j.ID, Reason: reason} })
	if err != nil {
		err = fmt.Errorf("cancelling %s: %w", j.ID, err)
	}
	if after, lookErr := s.Job(context.WithoutCancel(ctx), string(j.ID)); lookErr == nil {
		j = after
	}
	return j, err
}

// AmbiguousError says that several jobs begin as asked for.
type AmbiguousError struct {
	Prefix string
	IDs    []job.ID // a few of them
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("several jobs begin with %q: %v; type more of the ID", e.Prefix, e.IDs)
}

// Job finds a job by a prefix of its ID. Its errors are ErrNotFound and
// *AmbiguousError.
func (s *Scheduler) Job(ctx context.Context, prefix string) (job.Job, error) {
	got, err := inLoop(ctx, s, func() found { return s.find(prefix) })
	if err != nil {
		return job.Job{}, err
	}
	return got.job, got.err
}

// found is a job, or why there is none.
type found struct {
	job job.Job
	err error
}

func (s *Scheduler) find(prefix string) found {
	var ids []job.ID
	if prefix != "" {
		for _, id := range s.core.IDs() {
			if id.HasPrefix(prefix) {
				if ids = append(ids, id); len(ids) == 5 {
					break
				}
			}
		}
	}
	switch len(ids) {
	case 0:
		return found{err: fmt.Errorf("%w: %q", ErrNotFound, prefix)}
	case 1:
		j, _ := s.core.Job(ids[0])
		return found{job: j}
	}
	return found{err: &AmbiguousError{Prefix: prefix, IDs: ids}}
}

// Summary is a job in a list.
type Summary struct {
	ID        job.ID
	Name      string
	State     job.State
	Submitted time.Time
	Ended     time.Time
	Submitter job.PeerID
	Executor  job.PeerID // of the first task
	Attempt   int        // likewise
	Reason    string
}

// List is all jobs of this node's ledger, in the order of their submission.
func (s *Scheduler) List(ctx context.Context) ([]Summary, error) {
	return inLoop(ctx, s, s.core.Summaries)
}

// Summaries are all durable jobs, in the order of their submission.
func (c *Core) Summaries() []Summary {
	list := make([]Summary, 0, len(c.ids))
	why := map[*class]string{}
	for _, id := range c.ids {
		j := &c.jobs[id].job
		list = append(list, Summary{
			ID: id, Name: j.Spec.Name, State: j.State(), Submitted: j.Submitted, Ended: j.Ended(), Submitter: j.Submitter,
			Executor: j.Tasks[0].Executor, Attempt: j.Tasks[0].Attempt, Reason: j.Reason,
		})
		if e := c.jobs[id]; e.class != nil && j.State() == job.Waiting {
			if why[e.class] == "" {
				why[e.class] = c.Explain(id)
			}
			list[len(list)-1].Reason = why[e.class]
		}
	}
	return list
}

// watcher is told that a job looks different now.
type watcher struct{ changed chan struct{} }

func (w *watcher) touch() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Watch calls see with the job as it is, and again when it has changed, until it
// is terminal, see returns an error or ctx ends. A slow see misses states in
// between, never the last.
func (s *Scheduler) Watch(ctx context.Context, id job.ID, see func(job.Job) error) error {
	w := &watcher{changed: make(chan struct{}, 1)}
	// However this ends, what the loop may still do to watch is undone after it.
	defer s.put(func() { s.unwatch(id, w) })
	look := func() found {
		s.watch(id, w)
		if j, known := s.core.Job(id); known {
			return found{job: j}
		}
		return found{err: fmt.Errorf("%w: %q", ErrNotFound, id)}
	}
	for {
		now, err := inLoop(ctx, s, look)
		if err == nil {
			err = now.err
		}
		if err == nil {
			err = see(now.job)
		}
		if err != nil {
			return err
		}
		if now.job.Terminal() {
			return nil
		}
		select {
		case <-w.changed:
		case <-s.done:
			return ErrStopped
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Scheduler) watch(id job.ID, w *watcher) {
	if s.watchers[id] == nil {
		s.watchers[id] = map[*watcher]bool{}
	}
	s.watchers[id][w] = true
}

func (s *Scheduler) unwatch(id job.ID, w *watcher) {
	if delete(s.watchers[id], w); len(s.watchers[id]) == 0 {
		delete(s.watchers, id)
	}
}

// Bids are the standing bids that stand, this node's own included.
func (s *Scheduler) Bids(ctx context.Context) (map[job.PeerID]Bid, error) {
	return inLoop(ctx, s, s.core.Bids)
}
