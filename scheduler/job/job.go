// Package job says what a job is: what its submitter asked for (Spec), what
// happened to it (Event), where it stands (Job, State) and what came out of it
// (Result). It is the leaf that every other package may import: it has no I/O,
// no goroutine and no clock.
//
// A Job is its events, replayed: Apply is the only way to change one, and the
// table `next` is the only list of legal moves.
package job

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"time"
)

// PeerID is the text form of a libp2p peer ID (12D3Koo…).
type PeerID string

// Short is the last eight characters, which is how people tell peers apart:
// the first ones are the same for every Ed25519 key.
func (p PeerID) Short() string {
	if len(p) <= 8 {
		return string(p)
	}
	return string(p[len(p)-8:])
}

// LedgerID names a ledger: LedgerChars random characters of the ID alphabet.
type LedgerID string

// ID names a job: the ID of the ledger that holds it, then jobChars characters
// that follow from the submission's nonce, so that a repeated submit finds the
// job that it already made. With 60 bits, a ledger of a million jobs has two of
// one ID with a chance of one in two million; see Event.Submission.
type ID string

// Lengths of the two parts of an ID, in characters of five bits each.
const (
	LedgerChars = 5
	jobChars    = 12
)

var alphabet = base32.NewEncoding("abcdefghijkmnopqrstuvwxyz2345678").WithPadding(base32.NoPadding)

// NewLedgerID makes a ledger's ID from random bytes.
func NewLedgerID(random [32]byte) LedgerID {
	return LedgerID(alphabet.EncodeToString(random[:])[:LedgerChars])
}

// NewID derives a job's ID from its ledger and the nonce of its submission.
func NewID(ledger LedgerID, nonce string) ID {
	sum := sha256.Sum256([]byte("shoal job\x00" + nonce))
	return ID(string(ledger) + alphabet.EncodeToString(sum[:])[:jobChars])
}

// Ledger is the ledger that holds the job.
func (id ID) Ledger() LedgerID {
	if len(id) < LedgerChars {
		return ""
	}
	return LedgerID(id[:LedgerChars])
}

// HasPrefix reports whether the ID begins with p, as a user typed it.
func (id ID) HasPrefix(p string) bool { return strings.HasPrefix(string(id), strings.ToLower(p)) }

// Attempt names one try at one task of a job. Tasks and attempts count from 0
// and from 1: attempt 0 means that none was made yet.
type Attempt struct {
	Job     ID  `json:"job" cbor:"1,keyasint"`
	Task    int `json:"task" cbor:"2,keyasint"`
	Attempt int `json:"attempt" cbor:"3,keyasint"`
}

// String is the form used for work folders and in logs: job.task.attempt.
func (a Attempt) String() string { return fmt.Sprintf("%s.%d.%d", a.Job, a.Task, a.Attempt) }

// Usage is what an attempt consumed.
type Usage struct {
	CPU    time.Duration `json:"cpu_ns" cbor:"1,keyasint" doc:"CPU time of user and system together, in nanoseconds."`
	Wall   time.Duration `json:"wall_ns" cbor:"2,keyasint" doc:"Time from the start of the program to its end, in nanoseconds."`
	Memory Bytes         `json:"memory" cbor:"3,keyasint" doc:"Peak resident memory, in bytes."`
}

// Output is a named result, by content.
type Output struct {
	Name string `json:"name" cbor:"1,keyasint"`
	CID  string `json:"cid" cbor:"2,keyasint"`
	Size Bytes  `json:"size" cbor:"3,keyasint"`
}

// Result is how an attempt ended. Exit is the program's own code; Error is set
// when the program could not be run or was ended for it (time-out, limit), and
// then says so in a sentence.
type Result struct {
	Exit    int      `json:"exit" cbor:"1,keyasint"`
	Error   string   `json:"error,omitempty" cbor:"2,keyasint,omitempty"`
	Outputs []Output `json:"outputs,omitempty" cbor:"3,keyasint,omitempty"`
	Usage   Usage    `json:"usage" cbor:"4,keyasint"`
}

// OK reports whether the attempt did what it was asked to.
func (r Result) OK() bool { return r.Exit == 0 && r.Error == "" }

// Offer is a standing bid as the owner saw it when it placed a task; it is kept
// with the award so that `describe` can show who bid.
type Offer struct {
	Peer PeerID `json:"peer" cbor:"1,keyasint"`
	Free Room   `json:"free" cbor:"2,keyasint"`
}

// Room is an amount of what a peer has and a task needs.
type Room struct {
	CPU    CPU   `json:"cpu" cbor:"1,keyasint"`
	Memory Bytes `json:"memory" cbor:"2,keyasint"`
}

// Holds reports whether need fits into r.
func (r Room) Holds(need Room) bool { return need.CPU <= r.CPU && need.Memory <= r.Memory }

// Minus is what is left of r once need is taken, never below zero.
func (r Room) Minus(need Room) Room {
	return Room{CPU: max(0, r.CPU-need.CPU), Memory: max(0, r.Memory-need.Memory)}
}

// Plus is r and more together.
func (r Room) Plus(more Room) Room {
	return Room{CPU: r.CPU + more.CPU, Memory: r.Memory + more.Memory}
}
