package scheduler

import (
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Config is what a Core, a Worker and their Scheduler need to know. Self, Boot
// and Ledger must be given; the rest has defaults.
type Config struct {
	Self   job.PeerID
	Boot   uint64            // larger at every start of the node, for example its start in Unix nanoseconds: a new one means that what ran before is gone
	Ledger job.LedgerID      // of the log that Core leads; part of every job's ID
	Labels map[string]string // what this node announces of itself at first; "wasm" names its WebAssembly engine, if it has one. A PeerSeen of Self changes them
	Room   job.Room          // what jobs may use of this node together
	Seed   uint64            // for the draws of placement

	// Listed has this node run its own jobs and those of the peers in Accept,
	// and nobody else's.
	Listed bool
	Accept []job.PeerID

	// Lease is how long an executor may be silent before its attempts count as
	// lost. It is asked for a sign after a third of it. Default 15 s.
	Lease time.Duration
	// Answer is how long a peer may take to accept or decline an award, which
	// it does without looking at anything but its own memory. Default a third
	// of Lease.
	Answer time.Duration
	// MaxOpen is how many unfinished jobs the ledger takes. Default 10,000.
	MaxOpen int
}

// withDefaults fills what was left zero.
func (c Config) withDefaults() Config {
	if c.Lease <= 0 {
		c.Lease = 15 * time.Second
	}
	if c.Answer <= 0 {
		c.Answer = c.Lease / 3
	}
	if c.MaxOpen <= 0 {
		c.MaxOpen = 10_000
	}
	return c
}

// Limits that are not worth an option.
const (
	maxOffers    = 8                      // bids kept with an award
	maxPeers     = 10_000                 // peers a Core keeps in mind
	maxCallers   = 64                     // callers waiting on one job
	startGrace   = 100 * time.Millisecond // a start is written with the end of the attempt if that comes so soon: one fsync less
	firstResend  = time.Second            // until a message without an answer goes out again; doubles
	endedLeases  = 3                      // for which an executor may say that an attempt has ended without a report that can be read
	drainLimit   = 64                     // tasks placed in one Step
	offerLimit   = 16                     // classes of waiting tasks that a peer with a new bid is held against
	relabelLimit = 4096                   // and one with new labels: these are rare, and what waits for one waits for nothing else
)
