package scheduler

import (
	"context"
	"fmt"
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

// PeerGone says that a peer's process has ended for certain, or that it left:
// what it ran is lost. A peer that is only unreachable is left to its lease.
func (s *Scheduler) PeerGone(id job.PeerID, why string) { s.put(PeerGone{ID: id, Why: why}) }

// put hands an input to the loop, waiting while it is behind.
func (s *Scheduler) put(in any) {
	select {
	case s.inbox <- in:
	case <-s.done:
	}
}

// inLoop runs f in the loop and waits for it.
func (s *Scheduler) inLoop(ctx context.Context, f func()) error {
	ran := make(chan struct{})
	select {
	case s.inbox <- func() { f(); close(ran) }:
	case <-s.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-ran:
		return nil
	case <-s.done:
		select {
		case <-ran:
			return nil
		default:
			return ErrStopped
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call hands in an input that Core answers.
func (s *Scheduler) call(ctx context.Context, in func(call uint64) Input) error {
	reply := make(chan error, 1)
	var call uint64
	err := s.inLoop(ctx, func() {
		s.lastCall++
		call = s.lastCall
		s.calls[call] = reply
		s.doCore(s.core.Step(s.now(), in(call)))
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
// are all ipfs:// ones. It returns when the job is on disk. The same nonce gives
// the same job, so that a caller who lost the answer may ask again.
func (s *Scheduler) Submit(ctx context.Context, spec job.Spec, nonce string) (job.ID, error) {
	id := job.NewID(s.cfg.Ledger, nonce)
	if b, err := encoding.Marshal(spec); err != nil {
		return "", fmt.Errorf("encoding the spec: %w", err)
	} else if len(b) > MaxSpec {
		return "", fmt.Errorf("%w: its spec has %d bytes, at most %d are taken; put data into inputs", ErrSpec, len(b), MaxSpec)
	}
	if err := s.call(ctx, func(call uint64) Input { return Submit{Call: call, ID: id, Spec: spec} }); err != nil {
		return "", fmt.Errorf("submitting: %w", err)
	}
	return id, nil
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
func (s *Scheduler) Job(ctx context.Context, prefix string) (j job.Job, err error) {
	loopErr := s.inLoop(ctx, func() { j, err = s.find(prefix) })
	if loopErr != nil {
		return job.Job{}, loopErr
	}
	return j, err
}

func (s *Scheduler) find(prefix string) (job.Job, error) {
	var found []job.ID
	if prefix != "" {
		for _, id := range s.core.IDs() {
			if id.HasPrefix(prefix) {
				if found = append(found, id); len(found) == 5 {
					break
				}
			}
		}
	}
	switch len(found) {
	case 0:
		return job.Job{}, fmt.Errorf("%w: %q", ErrNotFound, prefix)
	case 1:
		j, _ := s.core.Job(found[0])
		return j, nil
	}
	return job.Job{}, &AmbiguousError{Prefix: prefix, IDs: found}
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
func (s *Scheduler) List(ctx context.Context) (list []Summary, err error) {
	err = s.inLoop(ctx, func() { list = s.core.Summaries() })
	return list, err
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
	if err := s.inLoop(ctx, func() { s.watch(id, w) }); err != nil {
		return err
	}
	defer s.put(func() { s.unwatch(id, w) })
	for {
		var j job.Job
		var known bool
		if err := s.inLoop(ctx, func() { j, known = s.core.Job(id) }); err != nil {
			return err
		}
		if !known {
			return fmt.Errorf("%w: %q", ErrNotFound, id)
		}
		if err := see(j); err != nil {
			return err
		}
		if j.Terminal() {
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
func (s *Scheduler) Bids(ctx context.Context) (bids map[job.PeerID]Bid, err error) {
	err = s.inLoop(ctx, func() { bids = s.core.Bids() })
	return bids, err
}

// Held reports whether this node has the attempt: it runs here, or its report is
// not acknowledged yet.
func (s *Scheduler) Held(ctx context.Context, a job.Attempt) (held bool, err error) {
	err = s.inLoop(ctx, func() { held = s.worker.Held(a) })
	return held, err
}
