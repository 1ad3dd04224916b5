package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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

// ownJobs answers for the jobs in this node's own ledger, and for the output of
// the attempts that ran here. It is what other peers may ask.
type ownJobs struct {
	sched  *scheduler.Scheduler
	runner *executor.Runner
	mesh   *p2p.Mesh
	known  *directory
	open   bool // in an open swarm, where peers tell one another nothing of their jobs
}

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
