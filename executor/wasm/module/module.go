// Package module reads as much of a WebAssembly module as is needed before an
// engine gets it: whether it is one at all, whether it is a program that can
// run here, and how much memory it may have.
//
// Limit is the only writer: it sets the maximum of the module's memory, which
// makes the limit exact on every engine and at no cost while the program runs.
// Every error of this package is about the module and meant for its author.
package module

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// PageSize is the unit of WebAssembly memory, in bytes.
const PageSize = 64 << 10

// MaxSize is the largest module that is taken, in bytes.
const MaxSize = 256 << 20

// HeaderSize is how much of a file Check wants to see.
const HeaderSize = 8

// Check reports whether a file that begins with header is a WebAssembly module
// of the only binary version, and what it looks like if it is not.
func Check(header []byte) error {
	const no = "the module is no WebAssembly"
	switch {
	case len(header) == 0:
		return errors.New(no + ": the file is empty")
	case bytes.HasPrefix(header, []byte("\x00asm\x01\x00\x00\x00")):
		return nil
	case bytes.HasPrefix(header, []byte("\x00asm\x0d\x00\x01\x00")):
		return errors.New("the module is a WebAssembly component (WASI preview 2); only core modules with WASI preview 1 run here: build for wasip1 (Go: GOOS=wasip1, Rust: wasm32-wasip1, C: wasm32-wasi)")
	case bytes.HasPrefix(header, []byte("\x00asm")):
		return errors.New("the module has a WebAssembly version that is not known here (only version 1 is)")
	case bytes.HasPrefix(header, []byte("\x7fELF")):
		return errors.New(no + ": it is a Linux program; compile it for WASI (Go: GOOS=wasip1 GOARCH=wasm, C: clang --target=wasm32-wasi)")
	case bytes.HasPrefix(bytes.TrimSpace(header), []byte("(module")):
		return errors.New(no + " but its text form; turn it into the binary one with wat2wasm")
	case bytes.HasPrefix(header, []byte("#!")):
		return errors.New(no + ": it is a script")
	}
	return errors.New(no + ": it does not begin with \\0asm")
}

// IDs of the sections that matter here.
const (
	sectionImport = 2
	sectionMemory = 5
	sectionExport = 7
)

// Limit returns the module with the maximum of its memory set to pages, having
// refused what cannot run: another module's memory, several, shared or 64-bit
// ones, one that needs more from the start, imports that nobody provides
// (known says which functions of which module exist), a module that is no
// program.
func Limit(wasm []byte, pages uint32, known func(module, name string) bool) ([]byte, error) {
	if err := Check(wasm[:min(len(wasm), HeaderSize)]); err != nil {
		return nil, err
	}
	m := limiter{pages: pages, known: known, out: append(make([]byte, 0, len(wasm)+16), wasm[:HeaderSize]...)}
	for r := (reader{b: wasm[HeaderSize:]}); len(r.b) > 0; {
		id := r.byte()
		body := r.take(r.u32())
		if r.bad {
			return nil, errCut
		}
		if err := m.section(id, body); err != nil {
			return nil, err
		}
	}
	if !m.start {
		return nil, errors.New("the module has no _start function, so it is a library and not a program; build it as a command (Go: package main, C: with main)")
	}
	return m.out, nil
}

var errCut = errors.New("the module is damaged: it ends in the middle of a section")

type limiter struct {
	pages uint32
	known func(module, name string) bool
	out   []byte
	start bool // a function _start is exported
}

func (m *limiter) section(id byte, body []byte) error {
	var err error
	switch id {
	case sectionImport:
		err = m.imports(body)
	case sectionMemory:
		body, err = m.memory(body)
	case sectionExport:
		err = m.exports(body)
	}
	if err != nil {
		return err
	}
	m.out = append(m.out, id)
	m.out = binary.AppendUvarint(m.out, uint64(len(body)))
	m.out = append(m.out, body...)
	return nil
}

func (m *limiter) imports(body []byte) error {
	r := reader{b: body}
	for n := r.u32(); n > 0 && !r.bad; n-- {
		from, name := string(r.take(r.u32())), string(r.take(r.u32()))
		switch kind := r.byte(); {
		case r.bad:
			return errCut
		case kind == 2:
			return errors.New("the module imports its memory; only modules with a memory of their own run here")
		case kind != 0:
			return fmt.Errorf("the module imports %s.%s, which is no function; only functions of WASI preview 1 are provided", short(from), short(name))
		case !m.known(from, name):
			return fmt.Errorf("the module imports the function %s.%s; only those of WASI preview 1 (wasi_snapshot_preview1) are provided", short(from), short(name))
		}
		r.u32()
	}
	if r.bad {
		return errCut
	}
	return nil
}

// short bounds a name of the module's for an error.
func short(name string) string {
	if len(name) > 64 {
		return fmt.Sprintf("%q…", name[:64])
	}
	return fmt.Sprintf("%q", name)
}

func (m *limiter) exports(body []byte) error {
	r := reader{b: body}
	for n := r.u32(); n > 0 && !r.bad; n-- {
		name := r.take(r.u32())
		kind := r.byte()
		r.u32()
		if kind == 0 && string(name) == "_start" {
			m.start = true
		}
	}
	if r.bad {
		return errCut
	}
	return nil
}

// memory rewrites the memory section: a count and, per memory, flags, minimum
// and maximum.
func (m *limiter) memory(body []byte) ([]byte, error) {
	r := reader{b: body}
	n, flags := r.u32(), byte(0)
	if n == 0 && !r.bad {
		return body, nil
	}
	if n > 1 {
		return nil, fmt.Errorf("the module has %d memories; only one is supported", n)
	}
	flags = r.byte()
	if flags&4 != 0 {
		return nil, errors.New("the module has a 64-bit memory, which is not supported; build it for wasm32")
	}
	if flags&2 != 0 {
		return nil, errors.New("the module has a shared memory (threads), which is not supported; build it without threads")
	}
	least, most := r.u32(), m.pages
	if flags&1 != 0 {
		most = min(most, r.u32())
	}
	switch {
	case r.bad:
		return nil, errCut
	case least > m.pages:
		return nil, fmt.Errorf("the module needs %d MiB of memory from the start, the job allows %d MiB; raise resources.memory", mebi(least), mebi(m.pages))
	}
	out := []byte{1, 1}
	out = binary.AppendUvarint(out, uint64(least))
	return binary.AppendUvarint(out, uint64(most)), nil
}

func mebi(pages uint32) uint64 { return (uint64(pages)*PageSize + 1<<20 - 1) >> 20 }

// reader takes things off the front of b; bad says that there was too little.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	b := r.take(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u32() uint32 {
	v, n := binary.Uvarint(r.b[:min(len(r.b), 5)])
	if n <= 0 || v > 1<<32-1 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return uint32(v)
}
