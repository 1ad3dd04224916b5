package scheduler

import "github.com/shoal-mesh/shoal/scheduler/job"

// Message is what owners (Cores) and executors (Workers) say to one another over
// a direct, authenticated stream. Who said it is known from the connection.
type Message interface{ kind() kind }

// Outgoing is a message on its way.
type Outgoing struct {
	To      job.PeerID
	Message Message
}

// From an owner to an executor.
type (
	// Award gives the attempt to the executor, which answers Accept or Decline.
	Award struct {
		Attempt job.Attempt `cbor:"1,keyasint"`
		Spec    job.Spec    `cbor:"2,keyasint"`
	}
	// Withdraw says that the attempt is not wanted any more: cancelled, or lost
	// and placed elsewhere. The executor ends it and forgets it.
	Withdraw struct {
		Attempt job.Attempt `cbor:"1,keyasint"`
	}
	// Ask wants to know what became of attempts that nothing was heard of. The
	// answer is Holding.
	Ask struct {
		Attempts []job.Attempt `cbor:"1,keyasint"`
	}
	// ReportAck says that the report is durable, or void; the executor forgets it.
	ReportAck struct {
		Attempt job.Attempt `cbor:"1,keyasint"`
	}
)

// From an executor to an owner. A fresh standing bid rides along wherever the
// executor's room has just changed.
type (
	// Accept says that room is reserved and the attempt begins.
	Accept struct {
		Attempt job.Attempt `cbor:"1,keyasint"`
		Bid     Bid         `cbor:"2,keyasint"`
	}
	// Decline says that the executor does not take the attempt.
	Decline struct {
		Attempt job.Attempt `cbor:"1,keyasint"`
		Bid     Bid         `cbor:"2,keyasint"`
		Reason  string      `cbor:"3,keyasint"`
	}
	// Started says that the program runs: its inputs are there.
	Started struct {
		Attempt job.Attempt `cbor:"1,keyasint"`
	}
	// Report says how the attempt ended. Failure is set instead of Result when
	// this machine could not run it; Leaving, when that is because the node stops,
	// for which nobody is to blame. It is repeated until acknowledged.
	Report struct {
		Attempt job.Attempt `cbor:"1,keyasint"`
		Bid     Bid         `cbor:"2,keyasint"`
		Result  job.Result  `cbor:"3,keyasint"`
		Failure string      `cbor:"4,keyasint,omitempty"`
		Leaving bool        `cbor:"5,keyasint,omitempty"`
	}
	// Holding says where attempts stand at the executor. It answers Ask, and goes
	// out unasked when an owner has not spoken of an attempt for a lease.
	Holding struct {
		Boot     uint64 `cbor:"1,keyasint"`
		Attempts []Held `cbor:"2,keyasint"`
	}
)

// Held is where one attempt stands at its executor.
type Held struct {
	Attempt job.Attempt `cbor:"1,keyasint"`
	Phase   Phase       `cbor:"2,keyasint"`
}

// Phase is how far an attempt has come at its executor.
type Phase uint8

// The phases of an attempt.
const (
	Gone     Phase = iota + 1 // the executor does not know it (any more)
	Starting                  // accepted; inputs are fetched
	Running                   // the program runs
	Ended                     // a report is on its way
)

// Bid is a standing bid: what a peer can take now. (Boot, Seq) orders a peer's
// bids, so that an old one that arrives late or is replayed does nothing.
type Bid struct {
	Boot  uint64   `cbor:"1,keyasint"`
	Seq   uint64   `cbor:"2,keyasint"`
	Free  job.Room `cbor:"3,keyasint"`
	Total job.Room `cbor:"4,keyasint"`
	Jobs  int      `cbor:"5,keyasint"` // attempts that hold room
}

// newer reports whether b was made after o by the same peer.
func (b Bid) newer(o Bid) bool { return b.Boot > o.Boot || b.Boot == o.Boot && b.Seq > o.Seq }
