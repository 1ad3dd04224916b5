package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// cause is why an attempt came to nothing. It decides two things, here and
// nowhere else: whether the attempt counts against its task (blame), and when a
// task has had enough (spent).
//
// A job that kills or hangs whoever runs it must not walk through the swarm, so
// what may be the job's doing counts; what people do to their machines does not.
//
//	cause            means                                          counts
//	lostDeclined     the peer did not take it                       no
//	lostLeft         the peer was stopped in good order             no
//	lostRestarted    the peer's process is another one now          no
//	lostCrashed      the peer's process ended without a word        yes, at other peers
//	lostUnanswered   the peer did not answer the award              yes, at other peers
//	lostSilent       the peer was silent for a lease                yes, at other peers
//	lostFailed       the peer says that it cannot fetch, run or     yes, and as a failure
//	                 publish it, or does not keep to the protocol
//
// A peer that was blamed gets the task again only if no other can take it, and
// not soon. One that was not is left out for its whole class for a moment, which
// grows each time (see class.refused), so that nobody can make a Core append
// events without end.
type cause uint8

const (
	lostDeclined cause = iota
	lostLeft
	lostRestarted
	lostCrashed
	lostUnanswered
	lostSilent
	lostFailed
)

// blames reports whether an attempt that was lost in this way counts against its
// task. A power cut or a restart of the owner's own machine never does: a node
// alone must not lose a job for it.
func (w cause) blames(at, self job.PeerID) bool {
	switch w {
	case lostCrashed, lostUnanswered, lostSilent:
		return at != self
	case lostFailed:
		return true
	}
	return false
}

// maxBlamed is how many different peers may be blamed before a task is given up,
// and how often peers, be it always the same one, may say that they cannot do it.
const maxBlamed = 5

// spent reports whether a task has had all the attempts that it gets.
func spent(t job.Progress) bool { return len(t.Tried) >= maxBlamed || t.Failures >= maxBlamed }

// retryAfter is how long peers that were blamed are left out of a task after its
// nth blamed attempt: 1 s at first, about four minutes at most.
func retryAfter(n int) time.Duration { return time.Second << min(n, 9) / 2 }

// epitaph says why a task was lost, and at which peers; what was said again and
// again is said once.
func epitaph(j *job.Job, task int) string {
	var reasons []string // in the order of their first time
	at := map[string][]string{}
	for _, ev := range j.History {
		if ev.Kind != job.Lost || !ev.Blame || ev.Task != task {
			continue
		}
		if at[ev.Reason] == nil {
			reasons = append(reasons, ev.Reason)
		}
		if peer := ev.Peer.Short(); !slices.Contains(at[ev.Reason], peer) {
			at[ev.Reason] = append(at[ev.Reason], peer)
		}
	}
	for i, why := range reasons {
		reasons[i] = fmt.Sprintf("%s (at %s)", why, strings.Join(at[why], ", "))
	}
	return clean(fmt.Sprintf("given up after %d lost attempts: %s", j.Tasks[task].Lost, strings.Join(reasons, "; ")))
}
