package scheduler

import (
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Input is something that happens to a Core.
type Input interface{ input() }

// WorkerInput is something that happens to a Worker.
type WorkerInput interface{ workerInput() }

// What a Core is told.
type (
	// Submit asks for a job. Its answer follows the commit. The same submission
	// again finds the job; another one with its ID is refused (ErrConflict).
	Submit struct {
		Call       uint64 // names the caller in Answer
		ID         job.ID
		Spec       job.Spec
		Submission []byte // digest, not changed afterwards
	}
	// Cancel asks for a job's end. It is answered when the job has ended, in
	// this way or another.
	Cancel struct {
		Call   uint64
		ID     job.ID
		Reason string
	}
	// Committed are events that are durable now, in the order of Append.
	Committed struct{ Events []job.Event }
	// BidSeen is a standing bid that came by gossip.
	BidSeen struct {
		From job.PeerID
		Bid  Bid
	}
)

// What both are told.
type (
	// PeerSeen says that a peer is there, with these labels, since this boot.
	PeerSeen struct {
		ID     job.PeerID
		Labels map[string]string // not changed afterwards
		Boot   uint64
	}
	// PeerGone says that a peer's process of this boot is known to have ended. 0
	// stands for whichever it had. Left is set if a person ended it in good order.
	PeerGone struct {
		ID   job.PeerID
		Boot uint64
		Why  string
		Left bool
	}
	// Received is a message from the peer at the other end of a stream.
	Received struct {
		From    job.PeerID
		Message Message
	}
	// Tick says that it is later. At is the time of day, for display.
	Tick struct{ At time.Time }
)

// What a Worker is told.
type (
	// Ran says that the attempt's program has begun.
	Ran struct{ Charge }
	// Exited says that nothing is left of the attempt. Failure is set if this
	// machine could not run it; Leaving, if that is because the node stops.
	Exited struct {
		Charge
		Result  job.Result
		Failure string
		Leaving bool
	}
	// Leave says that the node stops: no more awards.
	Leave struct{}
)

func (Submit) input()    {}
func (Cancel) input()    {}
func (Committed) input() {}
func (BidSeen) input()   {}
func (PeerSeen) input()  {}
func (PeerGone) input()  {}
func (Received) input()  {}
func (Tick) input()      {}

func (PeerSeen) workerInput() {}
func (PeerGone) workerInput() {}
func (Received) workerInput() {}
func (Tick) workerInput()     {}
func (Ran) workerInput()      {}
func (Exited) workerInput()   {}
func (Leave) workerInput()    {}

// Effects are what is to be done after a Core's step, in any order: nothing here
// speaks of an event that is not durable.
type Effects struct {
	Append  []job.Event   // to the log, in one piece; they come back as Committed
	Send    []Outgoing    // best effort
	Answers []Answer      // to callers of Submit and Cancel
	Changed []job.ID      // jobs that look different now
	Wake    time.Duration // when a Tick is due, on the clock of now; 0 means never
	Fault   error         // the log contradicts itself; the Core is of no use any more
}

// Answer ends a call. Err is nil if the job is as the caller wanted it.
type Answer struct {
	Call uint64
	ID   job.ID
	Err  error
}

// WorkerEffects are what is to be done after a Worker's step: sends first, then
// kills, then starts.
type WorkerEffects struct {
	Send    []Outgoing
	Kill    []Charge
	Start   []Start
	Publish *Bid          // to every peer
	Wake    time.Duration // when a Tick is due, on the clock of now; 0 means never
}

// Charge is an attempt in an executor's care. Attempts are told apart by their
// owner as well, since an owner is free to call its attempts what it likes.
type Charge struct {
	Owner   job.PeerID
	Attempt job.Attempt
}

// Start is an attempt to run.
type Start struct {
	Charge
	Spec job.Spec
}
