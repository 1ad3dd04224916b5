// Package wasi is the system that a WebAssembly program sees: all 46 functions
// of wasi_snapshot_preview1, written in Go, independent of the engine that runs
// the program.
//
// An engine offers every entry of Functions to the program as an import of
// module Namespace and answers a call with System.Call. One System serves one
// program; Call must not be called concurrently.
//
// # What the program sees
//
// One preopened folder, "/", at descriptor 3. It is not a folder of this
// machine but a small read-only tree whose leaves are the mounts: a mount at
// /inputs/log makes the folders / and /inputs visible, and nothing else. A
// mount may be a folder or a single file. Everything below a mounted folder
// goes through an os.Root, so that no path leaves it: not an absolute one, not
// "..", not a symbolic link, whoever made it. Every folder that the program
// opens is a root of its own: paths relative to it cannot leave it.
//
// Mounts without Write refuse every change with EROFS, and to open what is
// neither a file nor a folder: it is looked at first, since opening a FIFO or a
// device would be felt at its other end. Standard input is at its
// end from the start. Standard output and error claim to be terminals as far as
// buffering goes (character devices that cannot seek), because C programs then
// write whole lines at once and logs are live.
//
// # What it does not do
//
// proc_raise answers ENOSYS: signals were taken out of WASI. The socket calls
// answer ENOTSOCK for every open descriptor, since none is a socket. Rights are
// reported and may be narrowed, but what counts is how a file was opened.
package wasi

import (
	"os"
	"syscall"
	"time"
)

// Namespace is the import module of Functions.
const Namespace = "wasi_snapshot_preview1"

// Mount shows a file or folder of this machine, Host, at the absolute path
// Guest. With Sub set, Host is a folder and what is shown is Sub, a relative path
// in it that is walked through an os.Root of Host.
type Mount struct {
	Host, Guest string
	Sub         string
	Write       bool
}

// Config says what a program sees.
type Config struct {
	Args   []string // the first is the program's name
	Env    []string // KEY=VALUE
	Mounts []Mount
	Stdout *Stream // nil takes and drops everything
	Stderr *Stream
	// Exit ends the program with a code. It must not return.
	Exit func(code uint32)
}

// System is what one program sees and has open.
type System struct {
	cfg     Config
	started time.Time
	fds     []*desc // indexed by descriptor; nil is free
	mounts  []*mount
	iov     [][]byte // reused by the vectored calls
}

// New opens the mounts. Errors name the mount that is wrong.
func New(cfg Config) (*System, error) {
	s := &System{cfg: cfg, started: time.Now()}
	top, err := s.plant(cfg.Mounts)
	if err != nil {
		s.Close()
		return nil, err
	}
	s.fds = []*desc{
		{stdin: true, kind: fileCharDevice, rights: rightFDRead | rightPoll},
		{stream: orNone(cfg.Stdout), kind: fileCharDevice, rights: rightFDWrite | rightPoll},
		{stream: orNone(cfg.Stderr), kind: fileCharDevice, rights: rightFDWrite | rightPoll},
		nil,
	}
	d, e := s.openNode(top)
	if e != 0 {
		s.Close()
		return nil, &os.PathError{Op: "open", Path: "/", Err: syscall.EIO}
	}
	d.preopen = true
	s.fds[3] = d
	return s, nil
}

func orNone(s *Stream) *Stream {
	if s == nil {
		return &Stream{cut: true}
	}
	return s
}

// Close releases everything that the program had open.
func (s *System) Close() {
	for _, d := range s.fds {
		if d != nil {
			d.close()
		}
	}
	s.fds = nil
	for _, m := range s.mounts {
		m.root.Close()
	}
	s.mounts = nil
}

// Call is function number i of Functions. mem is the program's memory as it is
// now; args has one entry per parameter. The result is the errno for the
// program; proc_exit has none and does not return.
func (s *System) Call(i int, mem []byte, args []uint64) (errno uint32) {
	defer func() {
		// A pointer that leads out of the program's memory ends the call from
		// wherever it is met; nothing else may be swallowed here.
		if r := recover(); r != nil {
			if _, bad := r.(fault); !bad {
				panic(r)
			}
			errno = uint32(efault)
		}
	}()
	return uint32(Functions[i].call(s, call{memory(mem), args}))
}
