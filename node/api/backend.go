package api

import (
	"context"
	"io"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Backend is what the handlers need of a node. Every method is safe for
// concurrent use, blocks, and returns soon after ctx ends with nothing left
// running. Errors carry a Code (see Errorf) where the caller can do something
// about them; one without is the node's own fault, CodeInternal.
//
// A method that takes a function or a writer calls it from one goroutine at a
// time, waits for it (it may block as long as a reader rests) and never calls
// it after returning. An error of it ends the method, which returns it.
type Backend interface {
	Jobs
	Store
	Swarm
	Labels
	// Status is what the node is about now.
	Status(ctx context.Context) (NodeStatus, error)
}

// Jobs answers for jobs. The backend given to the local API answers for the
// whole swarm, the one given to other peers for this node's own ledgers.
type Jobs interface {
	Submit(ctx context.Context, s Submission) (Receipt, error)
	// Job finds a job by a unique prefix of its ID.
	Job(ctx context.Context, id string) (job.Job, error)
	List(ctx context.Context) (JobList, error)
	// Watch calls see with the job as it is now and then after each change,
	// until it is terminal, see returns an error or ctx ends.
	Watch(ctx context.Context, id string, see func(job.Job) error) error
	Cancel(ctx context.Context, id string) (job.Job, error)
	// Logs calls see with pieces of the output of the attempt that counts, from
	// the offsets given; with Follow until the job is terminal. Pieces are of
	// 1 MiB at most.
	Logs(ctx context.Context, id string, o LogOptions, see func(LogChunk) error) error
}

// Store is the node's own IPFS store.
type Store interface {
	// Add stores a tar archive with one file or folder at its top and pins it.
	// The pin has the name given, or that of what was added if it is empty. An
	// archive that ends with an error was cut short: nothing is pinned.
	Add(ctx context.Context, tar io.Reader, name string) (Added, error)
	// Tar writes the file or folder as a tar archive; Cat writes a file's bytes.
	// path is CID or CID/folder/file, as the caller wrote it.
	Tar(ctx context.Context, path string, w io.Writer) error
	Cat(ctx context.Context, path string, w io.Writer) error
	// Ls calls see for each entry of a folder in the order of names, or once for a
	// file, and gets no more blocks than those of the folder.
	Ls(ctx context.Context, path string, see func(Entry) error) error
	// Pins calls see for each pin, or for those that a CID or a name stands for.
	Pins(ctx context.Context, what string, see func(Pin) error) error
	// Pin keeps a CID, under the name if it is not empty.
	Pin(ctx context.Context, r PinRequest) (Pin, error)
	// Unpin keeps a CID no longer, given by itself or by the name of its pin, and
	// returns the pin.
	Unpin(ctx context.Context, what string) (Pin, error)
	// Collect removes what nothing keeps, or, if dry, counts it.
	Collect(ctx context.Context, dry bool) (Collected, error)
}

// Swarm is the node among its peers.
type Swarm interface {
	ID(ctx context.Context) ID
	Peers(ctx context.Context) []Peer
	Ready() bool
	// Doctor examines the node and its peers.
	Doctor(ctx context.Context) Report
	// Token makes a token with which a machine can join for the time given.
	Token(ctx context.Context, ttl time.Duration) (Token, error)
	// Join answers the handshake message of a joiner at the remote address: see
	// p2p.Admit, and p2p.Code, whose request is held for up to JoinHold; no answer
	// and no error says that nobody has let it in yet.
	Join(ctx context.Context, remote string, msg []byte) ([]byte, error)
	// Waiting lists the machines that wait at any peer to be let in with a code,
	// and Approve lets in the one that shows it.
	Waiting(ctx context.Context) (JoinList, error)
	Approve(ctx context.Context, code string) (Approved, error)
}
