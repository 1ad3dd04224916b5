package job

import (
	"fmt"
	"slices"
	"time"
)

// State is where a task, or a whole job, stands.
//
//	Waiting ──► Awarded ──► Running ──► Done
//	   ▲           │           │  └───► Failed
//	   └───────────┴─ lost ────┘
//	any of the three on the left ──► Failed, Cancelled
//
// The three on the right are terminal: nothing follows them.
type State uint8

// The states, in the order of a life.
const (
	Waiting   State = iota + 1 // no peer has it: none fits, or the last attempt was lost
	Awarded                    // committed to a peer, which has not said yet that it runs
	Running                    // the peer fetches, runs or publishes
	Done                       // exit code 0, outputs published
	Failed                     // the program failed, or too many peers were lost
	Cancelled                  // a person ended it
)

var stateNames = [...]string{Waiting: "waiting", Awarded: "awarded", Running: "running", Done: "done", Failed: "failed", Cancelled: "cancelled"}

func (s State) String() string {
	if int(s) < len(stateNames) && stateNames[s] != "" {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Terminal reports whether nothing can follow s.
func (s State) Terminal() bool { return s >= Done }

// MarshalText is the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *State) UnmarshalText(b []byte) error {
	if i := slices.Index(stateNames[:], string(b)); i > 0 {
		*s = State(i)
		return nil
	}
	return fmt.Errorf("unknown job state %q", b)
}

// Kind is what an Event says.
type Kind uint8

// The kinds of events.
const (
	Submitted   Kind = iota + 1 // the job exists: Spec, Submitter
	AwardedTo                   // Task's Attempt goes to Peer: Offers, Peers
	Started                     // Peer runs it
	Lost                        // the attempt came to nothing: Reason; Blame if its peer may not be asked again lightly; Failed if that peer itself says that it cannot
	Finished                    // the attempt ended: Result
	GaveUp                      // no further attempt will be made: Reason
	CancelledBy                 // a person ended the job: Reason
)

var kindNames = [...]string{Submitted: "submitted", AwardedTo: "awarded", Started: "started", Lost: "lost", Finished: "finished", GaveUp: "gave up", CancelledBy: "cancelled"}

func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// MarshalText is the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (k *Kind) UnmarshalText(b []byte) error {
	if i := slices.Index(kindNames[:], string(b)); i > 0 {
		*k = Kind(i)
		return nil
	}
	return fmt.Errorf("unknown event kind %q", b)
}

// Event is one entry of a ledger. Job, Task and Attempt say what it is about;
// Kind says which other fields mean something. At is wall-clock time for people
// to read: nothing is decided by it.
type Event struct {
	Attempt
	Kind      Kind      `json:"kind" cbor:"4,keyasint"`
	At        time.Time `json:"at" cbor:"5,keyasint"`
	Spec      *Spec     `json:"spec,omitempty" cbor:"6,keyasint,omitempty"`
	Submitter PeerID    `json:"submitter,omitempty" cbor:"7,keyasint,omitempty"` // the peer that took the job in
	Peer      PeerID    `json:"peer,omitempty" cbor:"8,keyasint,omitempty"`
	Offers    []Offer   `json:"offers,omitempty" cbor:"9,keyasint,omitempty"` // the feasible bids, best known first, bounded
	Reason    string    `json:"reason,omitempty" cbor:"10,keyasint,omitempty"`
	Blame     bool      `json:"blame,omitempty" cbor:"11,keyasint,omitempty"`
	Result    *Result   `json:"result,omitempty" cbor:"12,keyasint,omitempty"`
	Failed    bool      `json:"failed,omitempty" cbor:"13,keyasint,omitempty"`
	// Submission is a digest of the nonce and the spec, which tells a repeated
	// submission from another one whose ID is the same.
	Submission []byte `json:"-" cbor:"14,keyasint,omitempty"`
}

// Job is what a ledger knows of a job: the sum of its events. Tasks has one
// entry per task.
type Job struct {
	ID        ID         `json:"id"`
	Spec      Spec       `json:"spec"`
	Submitter PeerID     `json:"submitter"`
	Submitted time.Time  `json:"submitted"`
	Tasks     []Progress `json:"tasks"`
	Reason    string     `json:"reason,omitempty"` // why it failed or was cancelled, or why it waits
	History   []Event    `json:"history"`          // bounded: the first and the latest

	Submission []byte `json:"-"` // see Event
}

// Progress is where one task stands.
type Progress struct {
	State    State     `json:"state"`
	Attempt  int       `json:"attempt"`            // the current one; 0 before the first award
	Executor PeerID    `json:"executor,omitempty"` // of the current attempt
	Lost     int       `json:"lost,omitempty"`     // attempts whose peer was blamed for their end
	Failures int       `json:"failures,omitempty"` // those of them whose peer itself said that it could not
	Tried    []PeerID  `json:"tried,omitempty"`    // the peers that were blamed
	Started  time.Time `json:"started,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Result   *Result   `json:"result,omitempty"`
}
