package storage

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrClosed is what every method returns once Close was called.
var ErrClosed = errors.New("the store is closed")

// ErrNotPinned is what Unpin wraps when there was nothing to unpin.
var ErrNotPinned = errors.New("not pinned on this node")

// NotFoundError says that blocks of a reference did not come from anywhere for
// as long as the store waits.
type NotFoundError struct {
	Ref    string        // what was asked for
	CID    string        // the block that is missing: the root of Ref, or a part of it
	Blocks int           // how many blocks of it were had
	Peers  int           // how many connected peers were asked for it
	Waited time.Duration // how long nothing came
	File   string        // a copy of it on this disk, which is damaged, if there is one
	Denied bool          // all of them said that they do not have it, and the routing knows nobody else
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
	if e.File != "" {
		return fmt.Sprintf("%s cannot be read: block %s of it is damaged on this disk (file %s); nothing came in its place for %s, and %s; check the disk, and start a node that keeps it",
			e.Ref, e.CID, e.File, e.Waited, who)
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

// NameError says that something cannot be the name of a pin.
type NameError struct {
	Name   string
	Reason string
}

func (e *NameError) Error() string {
	return fmt.Sprintf("a pin cannot be named %q: %s", e.Name, e.Reason)
}

// AmbiguousError says that several pins have a name.
type AmbiguousError struct {
	Name string
	CIDs []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%d pins have the name %q: %s; say which by its CID", len(e.CIDs), e.Name, strings.Join(e.CIDs[:min(len(e.CIDs), 5)], ", "))
}

// FullError says that there is no room for something. Sizes are in bytes.
type FullError struct {
	Need  int64 // by what did not fit
	Used  int64 // by what is in the store
	Limit int64 // of the store
	Free  int64 // on its disk
	Disk  bool  // the disk is what lacks room, and not the limit
}

func (e *FullError) Error() string {
	if e.Disk {
		return fmt.Sprintf("the disk is full: %s more do not fit into the %s that are free on it, some of which is left for running jobs; "+
			"the store uses %s. Free space on the disk, or keep less in the store (node pin ls -o wide, node pin rm, node gc)",
			bytesOf(e.Need), bytesOf(e.Free), bytesOf(e.Used))
	}
	return fmt.Sprintf("the store is full: it uses %s of the %s that it may, and %s more do not fit. "+
		"Keep less (node pin ls -o wide, node pin rm, node gc), or start the node with a larger --max-storage",
		bytesOf(e.Used), bytesOf(e.Limit), bytesOf(e.Need))
}

// bytesOf is a size for people.
func bytesOf(n int64) string {
	f, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, u
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}
