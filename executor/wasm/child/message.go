package child

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/shoal-mesh/shoal/executor/wasm/wasi"
)

// The child's descriptors.
const (
	fdTask   = 0 // a Task, as JSON, then the end of the file
	fdStdout = 1 // the program's standard output, a file opened for appending
	fdReport = 2 // a Report, as the last line; what comes before it is a crash
	fdStderr = 3 // the program's standard error
	fdCode   = 4 // the module, or what Compile made of it: see Code
)

// Op is what a child is for.
type Op string

// The two things that a child does. Code that somebody else wrote is compiled
// in one child and runs in another, so that what the compiler does, and how
// much it takes, is no part of a program's time and limits.
const (
	OpCompile Op = "compile"
	OpRun     Op = "run"
)

// Task is what a child is told to do.
type Task struct {
	Op    Op     `json:"op"`
	Pages uint32 `json:"pages"` // the memory that the program may have, in WebAssembly pages
	Dir   string `json:"dir"`   // OpCompile: where the engine writes; OpRun: where it wrote then

	Args   []string     `json:"args,omitempty"`
	Env    []string     `json:"env,omitempty"`
	Mounts []wasi.Mount `json:"mounts,omitempty"`
	Output int64        `json:"output,omitempty"` // bytes of stdout and of stderr, each

	Data uint64 `json:"data"` // RLIMIT_DATA of the child, in bytes
	CPU  uint64 `json:"cpu"`  // RLIMIT_CPU, in seconds
}

// Report is what came of it. At most one of Bad, Trap and Failed is set.
type Report struct {
	Engine string   `json:"engine"`
	Layers []string `json:"layers"` // what confines the child besides the WASI
	Exit   int      `json:"exit"`
	Bad    string   `json:"bad,omitempty"`    // the module cannot run; its author is to blame
	Trap   string   `json:"trap,omitempty"`   // the program did what WebAssembly forbids
	Failed string   `json:"failed,omitempty"` // this machine could not run it
	Memory int64    `json:"memory,omitempty"` // peak resident memory of the child, in bytes
}

// reportMark begins the line that carries a Report.
const reportMark = "shoal-report "

func (r Report) write(w io.Writer) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s%s\n", reportMark, b)
	return err
}
