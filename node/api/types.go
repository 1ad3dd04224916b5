package api

import (
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// ID is what a node tells everybody who asks.
type ID struct {
	Peer    string   `json:"peer" doc:"The node's libp2p peer ID."`
	Addrs   []string `json:"addrs" doc:"Multiaddrs at which it listens, each with the peer ID."`
	Private bool     `json:"private" doc:"Whether its swarm needs a key."`
	Swarm   string   `json:"swarm,omitempty" doc:"Fingerprint of the swarm's key."`
	Version string   `json:"version"`
}

// Peer is a live peer, as the roster has it.
type Peer struct {
	ID     job.PeerID        `json:"id"`
	Self   bool              `json:"self,omitempty"`
	Addrs  []string          `json:"addrs,omitempty"`
	Labels map[string]string `json:"labels"`
	Free   *job.Room         `json:"free,omitempty" doc:"What its standing bid offers."`
	Total  *job.Room         `json:"total,omitempty"`
	RTT    time.Duration     `json:"rtt_ns,omitempty"`
	Seen   time.Duration     `json:"seen_ns" doc:"Time since it was last heard, in nanoseconds."`
}

// Submission is a job to run. Every reference in Spec is an ipfs:// one by now.
// The nonce is the client's: submitting twice with the same one makes one job.
type Submission struct {
	Spec  job.Spec `json:"spec"`
	Nonce string   `json:"nonce" minLength:"16" maxLength:"64"`
}

// Receipt acknowledges a submission: the job is on disk.
type Receipt struct {
	ID     job.ID `json:"id"`
	Copies int    `json:"copies" doc:"How many peers hold the job's ledger."`
}

// Summary is a job in a list.
type Summary struct {
	ID        job.ID     `json:"id"`
	Name      string     `json:"name,omitempty"`
	State     job.State  `json:"state"`
	Submitted time.Time  `json:"submitted"`
	Ended     time.Time  `json:"ended,omitzero"`
	Submitter job.PeerID `json:"submitter"`
	Executor  job.PeerID `json:"executor,omitempty"`
	Attempt   int        `json:"attempt"`
	Reason    string     `json:"reason,omitempty"`
}

// JobList is the answer to who has which jobs.
type JobList struct {
	Jobs   []Summary    `json:"jobs"`
	Silent []job.PeerID `json:"silent" doc:"Live peers that did not answer in time: their jobs are not in the list."`
}

// LogOptions says which output to send.
type LogOptions struct {
	Follow         bool
	Stdout, Stderr int64 // offsets in bytes to start from
	Attempt        int   // the attempt the offsets are of; 0 for the current one
}

// LogChunk is a piece of a job's output.
type LogChunk struct {
	Attempt int    `json:"attempt"`
	Stream  string `json:"stream" enum:"stdout,stderr"`
	Offset  int64  `json:"offset" doc:"Offset of the first byte of data in its stream."`
	Data    []byte `json:"data"`
}

// Added is what Add stored.
type Added struct {
	CID  string    `json:"cid"`
	Size job.Bytes `json:"size"`
}

// Pin is a root that is kept.
type Pin struct {
	CID   string    `json:"cid"`
	Name  string    `json:"name,omitempty"`
	By    string    `json:"by,omitempty" doc:"Who wants it kept: user, or job for the output of a job."`
	Since time.Time `json:"since,omitzero"`
	Size  job.Bytes `json:"size" doc:"Bytes of all its blocks; blocks that pins share count for each of them."`
}

// Entry is one thing in a folder.
type Entry struct {
	Name string    `json:"name"`
	Kind string    `json:"kind,omitempty" doc:"file, folder or symlink; missing where only a block that is not here could tell."`
	Size job.Bytes `json:"size" doc:"Bytes of a file; of a folder, those of all its blocks."`
	CID  string    `json:"cid"`
}

// Collected is what a collection of garbage removed, or would remove, and what
// stays, in blocks and bytes.
type Collected struct {
	Blocks     int       `json:"blocks"`
	Bytes      job.Bytes `json:"bytes"`
	KeptBlocks int       `json:"kept_blocks"`
	KeptBytes  job.Bytes `json:"kept_bytes"`
}

// CollectRequest asks for a collection.
type CollectRequest struct {
	DryRun bool `json:"dry_run,omitempty" doc:"Only count what it would remove."`
}

// NodeStatus is what a node is about now.
type NodeStatus struct {
	ID
	API     string        `json:"api" doc:"Where its HTTP API listens for machines that are not in the swarm."`
	Uptime  time.Duration `json:"uptime_ns"`
	Engine  string        `json:"engine" doc:"What runs WebAssembly."`
	Peers   int           `json:"peers" doc:"Live peers, without itself."`
	Running int           `json:"running" doc:"Attempts at jobs that run here."`
	Storage StoreUsage    `json:"storage"`
}

// StoreUsage is how full a node's store is, in bytes.
type StoreUsage struct {
	Used   job.Bytes `json:"used"`
	Limit  job.Bytes `json:"limit" doc:"--max-storage."`
	Free   job.Bytes `json:"free" doc:"On the disk that the store is on."`
	Pins   int       `json:"pins" doc:"How many roots are kept."`
	Pinned job.Bytes `json:"pinned" doc:"Their sizes; blocks that pins share count for each of them."`
}

// Token admits machines to the swarm until it expires.
type Token struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
	Line    string    `json:"line" doc:"The command for the next machine."`
}

// TokenRequest asks for a Token.
type TokenRequest struct {
	TTL job.Duration `json:"ttl,omitempty" doc:"How long the token is good for, for example 1h, which is the default; 720h at most."`
}

// PinRequest asks for a Pin.
type PinRequest struct {
	CID  string `json:"cid" minLength:"1" maxLength:"4096" doc:"A CID, or the path of something below one."`
	Name string `json:"name,omitempty" maxLength:"255" doc:"A name for people; it replaces the one that the pin has."`
}

// Health is the answer of a node that is well.
type Health struct {
	Status string `json:"status" enum:"up,ready"`
}

// Nonce is what a client needs to sign its first request: see package sign.
type Nonce struct {
	Node  string `json:"node" doc:"The node's libp2p peer ID, which goes into the header Shoal-Node."`
	Nonce string `json:"nonce" doc:"Good for one signed request within two minutes; its answer brings the next in the header Shoal-Nonce."`
}
