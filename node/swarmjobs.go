package node

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// askPatience is how long a peer may take to answer a question that is not a
// stream. A peer that is alive answers in milliseconds.
const askPatience = 3 * time.Second

// swarmJobs answers for the jobs of every ledger in the swarm. It is what the
// local command line asks.
type swarmJobs struct{ own ownJobs }

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
	for _, p := range o.mesh.Roster().Others() {
		if !mayHold(p.Ledgers, prefix) {
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
