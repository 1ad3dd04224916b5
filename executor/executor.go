// Package executor runs the attempts of tasks on this machine. An Executor runs
// one prepared program; a Runner does the whole of an attempt around it: fetch
// the inputs, run, publish the outputs.
package executor

import (
	"context"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Executor runs programs of one kind. Run blocks until the program has ended
// and nothing of it is left behind; ending ctx kills it. An error means that
// this machine could not run it (another may), and a Result with Error set that
// the program or its limits are to blame. Safe for concurrent use.
type Executor interface {
	Run(ctx context.Context, t Task) (job.Result, error)
}

// Task is a program that is ready to run: everything is on this disk.
type Task struct {
	Attempt job.Attempt
	Module  string            // path of the program's file
	Args    []string          // without the program's name
	Env     map[string]string // all that the program sees
	Mounts  []Mount
	Limits  Limits
	Stdout  string // paths of files that exist and are appended to
	Stderr  string
}

// Mount shows a file or folder of this disk to the program. With Sub set it is
// what Sub names below the folder Host, in which nobody but this node's operator
// is trusted to keep things as they were.
type Mount struct {
	Host, Guest string
	Sub         string
	Write       bool
}

// Limits bound a program. Memory is the guest's own memory.
type Limits struct {
	Memory job.Bytes
	Wall   time.Duration
	Output job.Bytes // of stdout and of stderr, each
}
