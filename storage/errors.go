package storage

import (
	"errors"
	"fmt"
	"time"
)

// ErrClosed is what every method returns once Close was called.
var ErrClosed = errors.New("the store is closed")

// ErrNotPinned is what Unpin wraps when there was nothing to unpin.
var ErrNotPinned = errors.New("not pinned on this node")

// NotFoundError says that blocks of a reference did not come from anywhere for
// as long as the store waits.
type NotFoundError struct {
	Ref     string        // what was asked for
	CID     string        // the block that is missing: the root of Ref, or a part of it
	Blocks  int           // how many blocks of it were had
	Peers   int           // how many connected peers were asked for it
	Waited  time.Duration // how long nothing came
	Damaged bool          // a copy of it was on this disk, was damaged and was dropped
	Denied  bool          // all of them said that they do not have it, and the routing knows nobody else
}

func (e *NotFoundError) Error() string {
	who := fmt.Sprintf("none of the %d connected peers has it", e.Peers)
	switch e.Peers {
	case 0:
		who = "no peer is connected that could have it"
	case 1:
		who = "the one connected peer does not have it"
	}
	if e.Denied {
		who = fmt.Sprintf("all %d connected peers say that they do not have it, nor is anybody else known who does", e.Peers)
		if e.Peers == 1 {
			who = "the one connected peer says that it does not have it, nor is anybody else known who does"
		}
	}
	if e.Damaged {
		return fmt.Sprintf("%s cannot be read: block %s of it on this disk is damaged and was dropped; nothing came in its place for %s, and %s; check the disk, and start a node that keeps it",
			e.Ref, e.CID, e.Waited, who)
	}
	if e.Blocks > 0 {
		return fmt.Sprintf("%s is incomplete: after %d blocks nothing came for %s, and %s (missing %s); start a node that keeps all of it, then try again",
			e.Ref, e.Blocks, e.Waited, who, e.CID)
	}
	return fmt.Sprintf("%s was not found: nothing came for %s, and %s; check the CID, or start a node that keeps it",
		e.Ref, e.Waited, who)
}

// NotFound marks the error for callers that do not import this package.
func (e *NotFoundError) NotFound() bool { return true }

// LockedError says that another process, or another Store of this one, has the
// folder open.
type LockedError struct {
	File string // the lock file
	PID  int    // the process that holds it, 0 if it does not say
}

func (e *LockedError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("the store is in use by %s (lock file %s); stop that node, or give this one another home folder", who, e.File)
}

// FormatError says that what lies in the store's folder cannot be used as it
// is. Nothing was changed or deleted.
type FormatError struct {
	File   string
	Reason string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("cannot use the store at %s: %s", e.File, e.Reason)
}

// RefusedError says that something to be stored is of a kind that is never
// stored.
type RefusedError struct {
	Path   string
	Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%q cannot be stored: %s", e.Path, e.Reason)
}

// Refused marks the error for callers that do not import this package: the
// content is to blame, and no other node would take it.
func (e *RefusedError) Refused() bool { return true }

// limitError says which bound content is beyond.
type limitError string

func (e limitError) Error() string { return string(e) }

// Refused marks the error like RefusedError.
func (e limitError) Refused() bool { return true }

// RefError says that a reference is not one.
type RefError struct {
	Ref    string
	Reason string
}

func (e *RefError) Error() string {
	return fmt.Sprintf("%q does not name anything in IPFS: %s; write ipfs://CID or ipfs://CID/path", e.Ref, e.Reason)
}
