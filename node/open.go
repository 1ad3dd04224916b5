package node

import (
	"context"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// An open swarm has no key: anybody with an address gets in. What a stranger may
// do there is little.
//
//	                       private swarm                    open swarm
//	runs jobs of           everybody, or, if --accept-from   its own, and --accept-from
//	                       is given, as in an open swarm
//	tells peers about      every job in its ledger           none of them
//	is told to cancel by   every peer                        nobody but its owner
//	gives output to        every peer                        the peer for which it ran it
//
// That a node runs the jobs of a peer does not give that peer its own: there the
// two are strangers still.

// maxAccept is how many peers --accept-from may name: each is a label, so that
// they know that they need not ask elsewhere.
const maxAccept = 32

// checkAccept refuses what is no peer's ID.
func (c Config) checkAccept() error {
	for _, id := range c.AcceptFrom {
		if p, err := peer.Decode(id); err != nil || p.String() != id {
			return fmt.Errorf("--accept-from %.80q is no peer ID: write that of the node that the jobs are submitted to, as `node status` prints it there (12D3Koo…)", id)
		}
	}
	if n := len(c.accept()); n > maxAccept {
		return fmt.Errorf("--accept-from names %d peers, and %d is the most; where so many belong together, a private swarm suits better", n, maxAccept)
	}
	return nil
}

// accept are the peers of --accept-from, each once.
func (c Config) accept() []job.PeerID {
	var out []job.PeerID
	for _, id := range c.AcceptFrom {
		if !slices.Contains(out, job.PeerID(id)) {
			out = append(out, job.PeerID(id))
		}
	}
	return out
}

// listed reports whether the node runs the jobs of those alone that its operator
// has named. private is what its swarm is.
func (c Config) listed(private bool) bool { return !private || len(c.AcceptFrom) > 0 }

// openJobs is what a peer of an open swarm may ask: for the output of what ran
// here for it. The scheduler has checked whose jobs run.
type openJobs struct{ own ownJobs }

// forPeers is what peers may ask.
func (o ownJobs) forPeers() api.Jobs {
	if o.open {
		return openJobs{o}
	}
	return o
}

var errStranger = api.Errorf(api.CodeForbidden, "in an open swarm a node tells nobody but its owner about its jobs; machines that are to share them belong in a private one: `node serve --private --initial`")

func (openJobs) Submit(context.Context, api.Submission) (api.Receipt, error) {
	return api.Receipt{}, errStranger
}
func (openJobs) Job(context.Context, string) (job.Job, error)    { return job.Job{}, errStranger }
func (openJobs) List(context.Context) (api.JobList, error)       { return api.JobList{}, errStranger }
func (openJobs) Cancel(context.Context, string) (job.Job, error) { return job.Job{}, errStranger }
func (openJobs) Watch(context.Context, string, func(job.Job) error) error {
	return errStranger
}

// Logs serves an attempt that ran here for the peer that asks, by its exact name.
func (o openJobs) Logs(ctx context.Context, id string, opt api.LogOptions, see func(api.LogChunk) error) error {
	owner, ok := api.Caller(ctx)
	if !ok || opt.Attempt == 0 {
		return errStranger
	}
	return o.own.attemptLogs(ctx, owner, job.Attempt{Job: job.ID(id), Attempt: opt.Attempt}, opt, see)
}
