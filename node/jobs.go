package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// askProtocol carries HTTP between peers: questions about the jobs that the
// other one leads, and about the output of the attempts that it ran.
const askProtocol = "/shoal/jobs/1"

// askPatience is how long a peer may take to answer a question that is not a
// stream. A peer that is alive answers in milliseconds.
const askPatience = 3 * time.Second

// ownJobs answers for the jobs in this node's own ledger, and for the output of
// the attempts that ran here. It is what other peers may ask.
type ownJobs struct {
	sched  *scheduler.Scheduler
	runner *executor.Runner
	mesh   *p2p.Mesh
	known  *directory
	open   bool // in an open swarm, where peers tell one another nothing of their jobs
}

// swarmJobs answers for the jobs of every ledger in the swarm. It is what the
// local command line asks.
type swarmJobs struct{ own ownJobs }

func (o ownJobs) self() job.PeerID { return job.PeerID(o.mesh.Host().ID().String()) }

func (o ownJobs) Submit(ctx context.Context, s api.Submission) (api.Receipt, error) {
	if err := s.Spec.Validate(); err != nil {
		return api.Receipt{}, api.Errorf(api.CodeInvalid, "%w", err)
	}
	if err := s.Spec.Resolved(); err != nil {
		return api.Receipt{}, api.Errorf(api.CodeInvalid, "%w", err)
	}
	id, err := o.sched.Submit(ctx, s.Spec.WithDefaults(), s.Nonce)
	if err != nil {
		return api.Receipt{}, apiError(err)
	}
	return api.Receipt{ID: id, Copies: 1}, nil
}

func (o ownJobs) Job(ctx context.Context, id string) (job.Job, error) {
	j, err := o.sched.Job(ctx, id)
	return j, apiError(err)
}

func (o ownJobs) List(ctx context.Context) (api.JobList, error) {
	jobs, err := o.sched.List(ctx)
	if err != nil {
		return api.JobList{}, apiError(err)
	}
	list := api.JobList{Jobs: make([]api.Summary, len(jobs))}
	for i, j := range jobs {
		list.Jobs[i] = api.Summary(j)
	}
	return list, nil
}

func (o ownJobs) Watch(ctx context.Context, id string, see func(job.Job) error) error {
	j, err := o.Job(ctx, id)
	if err != nil {
		return err
	}
	return apiError(o.sched.Watch(ctx, j.ID, see))
}

func (o ownJobs) Cancel(ctx context.Context, id string) (job.Job, error) {
	j, err := o.sched.Cancel(ctx, id, "cancelled by its user")
	return j, apiError(err)
}

// Logs streams the output of the attempt that counts. When an attempt is lost
// and another follows, so does the stream, from that one's beginning. Asked
// about a job that another peer leads, it serves the attempt that is named, as
// its executor.
func (o ownJobs) Logs(ctx context.Context, id string, opt api.LogOptions, see func(api.LogChunk) error) error {
	j, err := o.sched.Job(ctx, id)
	if errors.Is(err, scheduler.ErrNotFound) && opt.Attempt > 0 {
		owner, _ := api.Caller(ctx) // who runs the job's ledger asks; nobody else has a log here under that name
		return o.attemptLogs(ctx, owner, job.Attempt{Job: job.ID(id), Attempt: opt.Attempt}, opt, see)
	}
	for err == nil {
		t := j.Tasks[0]
		if t.Executor != "" && t.State != job.Waiting {
			if opt.Attempt != t.Attempt {
				opt.Attempt, opt.Stdout, opt.Stderr = t.Attempt, 0, 0
			}
			err = o.fromExecutor(ctx, job.Attempt{Job: j.ID, Attempt: t.Attempt}, t.Executor, &opt, see)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var broken *sinkError
			if errors.As(err, &broken) {
				return broken.err
			}
			if err != nil && (!opt.Follow || j.Terminal()) {
				return api.Errorf(api.CodeUnavailable, "the output of job %s is kept by peer %s, which did not give it: %v", j.ID, t.Executor.Short(), err)
			}
		}
		if !opt.Follow || j.Terminal() {
			return nil
		}
		j, err = o.nextChange(ctx, j, err != nil)
	}
	return apiError(err)
}

// sinkError is what the receiver of a stream answered: its end, not the source's.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return e.err.Error() }

// fromExecutor streams an attempt's output from where it is kept and moves the
// offsets in opt along.
func (o ownJobs) fromExecutor(ctx context.Context, a job.Attempt, at job.PeerID, opt *api.LogOptions, see func(api.LogChunk) error) error {
	forward := func(c api.LogChunk) error {
		switch c.Stream {
		case executor.Stdout:
			opt.Stdout = c.Offset + int64(len(c.Data))
		case executor.Stderr:
			opt.Stderr = c.Offset + int64(len(c.Data))
		}
		if err := see(c); err != nil {
			return &sinkError{err}
		}
		return nil
	}
	if at == o.self() {
		return o.attemptLogs(ctx, at, a, *opt, forward)
	}
	client, err := o.peer(at)
	if err != nil {
		return err
	}
	return client.Logs(ctx, string(a.Job), *opt, forward)
}

// nextChange waits until the job has another attempt, has begun or has ended;
// or a moment, when the executor of the current attempt is to be asked again.
func (o ownJobs) nextChange(ctx context.Context, j job.Job, soon bool) (job.Job, error) {
	if soon {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, 300*time.Millisecond, errAgain)
		defer cancel()
	}
	changed := errors.New("changed")
	was := j.Tasks[0]
	err := o.sched.Watch(ctx, j.ID, func(now job.Job) error {
		j = now
		if t := now.Tasks[0]; t.Attempt != was.Attempt || t.State != was.State {
			return changed
		}
		return nil
	})
	if errors.Is(err, changed) || context.Cause(ctx) == errAgain {
		err = nil
	}
	return j, err
}

var errAgain = errors.New("ask the executor again")

// logPoll is how often a live output file is looked at: often enough to look
// live, seldom enough to cost nothing.
const logPoll = 20 * time.Millisecond

// attemptLogs streams the output of an attempt that runs or ran here for owner.
// Without Follow it ends at what there is.
func (o ownJobs) attemptLogs(ctx context.Context, owner job.PeerID, a job.Attempt, opt api.LogOptions, see func(api.LogChunk) error) error {
	buf := make([]byte, 32<<10)
	streams := []struct {
		name   string
		offset int64
		ended  bool
	}{{name: executor.Stdout, offset: opt.Stdout}, {name: executor.Stderr, offset: opt.Stderr}}
	tick := time.NewTicker(logPoll)
	defer tick.Stop()
	for {
		moved, open := false, false
		for i := range streams {
			s := &streams[i]
			if s.ended {
				continue
			}
			n, ended, err := o.runner.ReadLog(owner, a, s.name, s.offset, buf)
			if errors.Is(err, executor.ErrNoLog) {
				return api.Errorf(api.CodeNotFound, "attempt %s: %w", a, err)
			}
			if err != nil && err != io.EOF {
				return err
			}
			if n > 0 {
				moved = true
				if err := see(api.LogChunk{Attempt: a.Attempt, Stream: s.name, Offset: s.offset, Data: buf[:n]}); err != nil {
					return err
				}
				s.offset += int64(n)
			}
			s.ended = ended
			open = open || !ended
		}
		switch {
		case !open:
			return nil
		case moved:
			continue
		case !opt.Follow:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// peer is the API of another peer, over a stream of the mesh.
func (o ownJobs) peer(id job.PeerID) (*api.Client, error) {
	p, err := peer.Decode(string(id))
	if err != nil {
		return nil, fmt.Errorf("peer ID %q: %w", id, err)
	}
	return api.NewClientDial("peer "+id.Short(), func(ctx context.Context) (net.Conn, error) { return o.mesh.Dial(ctx, p, askProtocol) }), nil
}

func (s swarmJobs) Submit(ctx context.Context, sub api.Submission) (api.Receipt, error) {
	return s.own.Submit(ctx, sub)
}

func (s swarmJobs) Job(ctx context.Context, id string) (job.Job, error) {
	_, j, err := s.find(ctx, id)
	return j, err
}

func (s swarmJobs) Watch(ctx context.Context, id string, see func(job.Job) error) error {
	at, j, err := s.find(ctx, id)
	if err != nil {
		return err
	}
	return at.Watch(ctx, string(j.ID), see)
}

func (s swarmJobs) Cancel(ctx context.Context, id string) (job.Job, error) {
	at, j, err := s.find(ctx, id)
	if err != nil {
		return j, err
	}
	return at.Cancel(ctx, string(j.ID))
}

func (s swarmJobs) Logs(ctx context.Context, id string, o api.LogOptions, see func(api.LogChunk) error) error {
	at, j, err := s.find(ctx, id)
	if err != nil {
		return err
	}
	return at.Logs(ctx, string(j.ID), o, see)
}

// List asks every peer for its own jobs, all at once, and names those that did
// not answer in time.
func (s swarmJobs) List(ctx context.Context) (api.JobList, error) {
	list, err := s.own.List(ctx)
	if err != nil {
		return list, err
	}
	for _, a := range ask(ctx, s.own, "", func(ctx context.Context, c *api.Client) (api.JobList, error) { return c.List(ctx) }) {
		if a.err != nil {
			list.Silent = append(list.Silent, a.peer)
		}
		for _, j := range a.value.Jobs {
			if a.owns(j.ID) {
				list.Jobs = append(list.Jobs, j)
			}
		}
	}
	slices.SortFunc(list.Jobs, func(a, b api.Summary) int {
		return cmp.Or(a.Submitted.Compare(b.Submitted), cmp.Compare(a.ID, b.ID))
	})
	slices.Sort(list.Silent)
	return list, nil
}

// find looks for the one job whose ID begins with prefix, in every ledger whose
// name agrees with it, and says who answers for it.
func (s swarmJobs) find(ctx context.Context, prefix string) (api.Jobs, job.Job, error) {
	own, err := s.own.Job(ctx, prefix)
	if err != nil && api.CodeOf(err) != api.CodeNotFound {
		return nil, job.Job{}, err
	}
	var at api.Jobs
	var found job.Job
	ids := []string{}
	if err == nil {
		at, found, ids = s.own, own, append(ids, string(own.ID))
		if string(own.ID) == prefix {
			return at, found, nil // a whole ID: nobody else can have it
		}
	}
	silent := 0
	for _, a := range ask(ctx, s.own, prefix, func(ctx context.Context, c *api.Client) (job.Job, error) { return c.Job(ctx, prefix) }) {
		switch {
		case a.err == nil && !(a.value.ID.HasPrefix(prefix) && a.owns(a.value.ID)):
			silent++ // it answers for what was not asked, or is not its own
		case a.err == nil:
			at, found, ids = a.from, a.value, append(ids, string(a.value.ID))
		case api.CodeOf(a.err) == api.CodeAmbiguous:
			return nil, job.Job{}, a.err
		case api.CodeOf(a.err) != api.CodeNotFound:
			silent++
		}
	}
	switch {
	case len(ids) == 1:
		return at, found, nil
	case len(ids) > 1:
		return nil, job.Job{}, api.Errorf(api.CodeAmbiguous, "%q begins the IDs of %d jobs (%s): give more of it", prefix, len(ids), strings.Join(ids, ", "))
	}
	if owner, away := s.own.known.away(prefix, s.own.mesh.Roster()); away {
		return nil, job.Job{}, api.Errorf(api.CodeUnavailable, "job %q is, if there is one, in the ledger of peer %s, which is not there just now: it goes on when that node is back", prefix, owner.Short())
	}
	if silent > 0 {
		return nil, job.Job{}, api.Errorf(api.CodeUnavailable, "no peer that answered knows a job %q, and %d did not answer: try again, or look at `node peers`", prefix, silent)
	}
	if s.own.open {
		return nil, job.Job{}, api.Errorf(api.CodeNotFound, "this node has no job %q, and in an open swarm none is told of others': ask the node that it was submitted to; `node list` shows those of this one", prefix)
	}
	return nil, job.Job{}, api.Errorf(api.CodeNotFound, "no live peer knows a job %q: `node list` shows the jobs there are", prefix)
}

// answer is what one peer said.
type answer[T any] struct {
	peer    job.PeerID
	from    *api.Client
	ledgers []string // that it announces
	value   T
	err     error
}

// owns reports whether the peer that answered leads the job's ledger. It may not
// speak for others'.
func (a answer[T]) owns(id job.ID) bool { return slices.Contains(a.ledgers, string(id.Ledger())) }

// ask puts a question to every peer with a ledger whose name agrees with
// prefix, all at once, and gathers the answers.
func ask[T any](ctx context.Context, o ownJobs, prefix string, question func(context.Context, *api.Client) (T, error)) []answer[T] {
	if o.open {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var out []answer[T]
	for _, p := range o.mesh.Roster().Peers() {
		if p.Self || !mayHold(p.Ledgers, prefix) {
			continue
		}
		wg.Go(func() {
			a := answer[T]{peer: job.PeerID(p.ID.String()), ledgers: p.Ledgers}
			if a.from, a.err = o.peer(a.peer); a.err == nil {
				a.value, a.err = question(ctx, a.from)
			}
			mu.Lock()
			defer mu.Unlock()
			out = append(out, a)
		})
	}
	wg.Wait()
	return out
}

// mayHold reports whether a job with this prefix can be in one of the ledgers.
func mayHold(ledgers []string, prefix string) bool {
	prefix = strings.ToLower(prefix)
	for _, l := range ledgers {
		if strings.HasPrefix(l, prefix) || strings.HasPrefix(prefix, l) {
			return true
		}
	}
	return false
}
