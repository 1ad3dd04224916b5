// Package child is the program that runs WebAssembly: a process of its own per
// run, started by package wasm, which gives it a Task on a pipe and reads a
// Report from another. It limits and confines itself before it looks at
// anything that somebody else wrote.
//
// The same code serves two engines. The binary wasm-runner links it with
// Wasmer; a node that carries no runner starts itself again and runs it with
// wazero.
package child

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/shoal-mesh/shoal/executor/wasm/wasi"
)

// Engine compiles and runs modules.
type Engine interface {
	Name() string // with its version: "wasmer 2.0.0"
	// Compile leaves one file in c.Dir, made of the module c.File.
	Compile(c Code) error
	// Run runs the program to its end; nil means that it returned.
	Run(c Code, sys *wasi.System) error
}

// Code is a program's code. To compile, File is the module. To run, it is what
// the engine that runs it wants: Wasmer the file that Compile made, wazero the
// module again, with that file in Dir.
type Code struct {
	File  *os.File
	Dir   string
	Pages uint32
}

// BadModule says that a module is invalid or asks for what there is not, or that
// its job's mounts make no sense: nothing that another machine would do better.
type BadModule struct{ Reason string }

func (e BadModule) Error() string { return e.Reason }

// Trap says that a program did what WebAssembly forbids.
type Trap struct{ Reason string }

func (e Trap) Error() string { return e.Reason }

// Main does the task that waits on standard input, and ends the process. Its
// exit code says nothing: the report does.
func Main(engine Engine) {
	c := &process{engine: engine, report: os.NewFile(fdReport, "report")}
	c.end(c.do())
}

// process is this child.
type process struct {
	engine Engine
	report *os.File
	status *os.File // /proc/self/status, opened before the files are shut away
	layers []string
	exit   int
}

func (c *process) do() error {
	var t Task
	if err := json.NewDecoder(os.NewFile(fdTask, "task")).Decode(&t); err != nil {
		return fmt.Errorf("reading the task: %w", err)
	}
	c.status, _ = os.Open("/proc/self/status")
	if err := limit(t); err != nil {
		return err
	}
	code := Code{File: os.NewFile(fdCode, "code"), Dir: t.Dir, Pages: t.Pages}
	switch t.Op {
	case OpCompile:
		return c.compile(code)
	case OpRun:
		return c.run(t, code)
	}
	return fmt.Errorf("unknown operation %q", t.Op)
}

func (c *process) compile(code Code) (err error) {
	if c.layers, err = confine(access{write: []string{code.Dir}}); err != nil {
		return err
	}
	return c.engine.Compile(code)
}

func (c *process) run(t Task, code Code) error {
	sys, err := wasi.New(wasi.Config{
		Args:   t.Args,
		Env:    t.Env,
		Mounts: t.Mounts,
		Stdout: wasi.NewStream(os.NewFile(fdStdout, "stdout"), "stdout", t.Output),
		Stderr: wasi.NewStream(os.NewFile(fdStderr, "stderr"), "stderr", t.Output),
		Exit: func(code uint32) {
			c.exit = int(code)
			c.end(nil)
		},
	})
	var point wasi.BadMountPoint
	switch {
	case errors.As(err, &point):
		return BadModule{point.Reason}
	case err != nil:
		return fmt.Errorf("opening the mounts: %w", err)
	}
	reaches, err := sys.Reaches()
	if err != nil {
		return fmt.Errorf("opening the mounts: %w", err)
	}
	c.layers, err = confine(needs(t, reaches))
	for _, r := range reaches {
		r.File.Close()
	}
	if err != nil {
		return err
	}
	return c.engine.Run(code, sys)
}

// needs lists what the program's mounts need, and the compiled code. Mounts are
// named by their open files: between the opening of a folder and this, somebody
// may have put a link in its place.
func needs(t Task, reaches []wasi.Reach) access {
	var a access
	if t.Dir != "" {
		a.read = append(a.read, t.Dir)
	}
	for _, r := range reaches {
		list := &a.readFiles
		switch {
		case r.Dir && r.Write:
			list = &a.write
		case r.Dir:
			list = &a.read
		case r.Write:
			list = &a.writeFiles
		}
		*list = append(*list, fmt.Sprintf("/proc/self/fd/%d", r.File.Fd()))
	}
	return a
}

// end reports and ends the process. It is called from within host functions
// too, where nothing may return to a program that has ended.
func (c *process) end(err error) {
	r := Report{Engine: c.engine.Name(), Layers: c.layers, Exit: c.exit, Memory: c.peak()}
	var bad BadModule
	var trap Trap
	switch {
	case err == nil:
	case errors.As(err, &bad):
		r.Bad = bad.Reason
	case errors.As(err, &trap):
		r.Trap = trap.Reason
	default:
		r.Failed = err.Error()
	}
	if r.write(c.report) != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// peak is the most memory that the process has had, in bytes; 0 if unknown.
// getrusage would count the parent's, as it was when it forked.
func (c *process) peak() int64 {
	if c.status == nil {
		return 0
	}
	b := make([]byte, 4096)
	n, err := c.status.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	return PeakMemory(b[:n])
}
