package wasi

import (
	"fmt"
	"os"
	"syscall"
)

// Stream is a program's standard output or error: a file of this machine, opened
// for appending, that takes at most Limit bytes. What goes beyond is dropped
// while the program goes on as if it had been written (a chatty program should
// still finish its work); a last line in the file tells the reader.
type Stream struct {
	file    *os.File
	name    string
	limit   int64
	written int64
	cut     bool
}

// NewStream limits what a program writes to file; name is for the last line. A
// limit of 0 is none.
func NewStream(file *os.File, name string, limit int64) *Stream {
	return &Stream{file: file, name: name, limit: limit}
}

// Write takes all of b, or fails with what the host said.
func (s *Stream) Write(b []byte) (int, error) {
	if s.cut {
		return len(b), nil
	}
	keep := b
	over := s.limit > 0 && int64(len(b)) > s.limit-s.written
	if over {
		keep = b[:s.limit-s.written]
	}
	n, err := writeAll(s.file, keep)
	s.written += int64(n)
	if err != nil {
		return n, err
	}
	if over {
		s.cut = true
		note := fmt.Sprintf("\n[shoal: %s ends here, at its limit of %d bytes; the program went on]\n", s.name, s.limit)
		_, err = writeAll(s.file, []byte(note))
	}
	return len(b), err
}

func writeAll(f *os.File, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := f.Write(b)
	if err != nil && n == 0 {
		return 0, err
	}
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}
