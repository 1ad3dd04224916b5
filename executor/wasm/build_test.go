package wasm

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shoal-mesh/shoal/executor/wasm/wasi"
)

// Modules made by hand, for what no compiler would make.

func leb(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func section(id byte, body ...byte) []byte { return slices.Concat([]byte{id}, leb(len(body)), body) }

func name(s string) []byte { return append(leb(len(s)), s...) }

func wasm(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), slices.Concat(sections...)...)
}

// Types 0 to 2: of _start, of proc_exit, of sched_yield.
var types = section(1, 3, 0x60, 0, 0, 0x60, 1, 0x7f, 0, 0x60, 0, 1, 0x7f)

func importing(from, what string, desc ...byte) []byte {
	return section(2, slices.Concat([]byte{1}, name(from), name(what), desc)...)
}

var (
	oneFunction  = section(3, 1, 0)
	onePage      = section(5, 1, 0, 1)
	startIs      = func(f byte) []byte { return section(7, slices.Concat([]byte{1}, name("_start"), []byte{0, f})...) }
	noStart      = section(7, 0)
	exitFunction = importing(wasi.Namespace, "proc_exit", 0, 1)
)

// code is the code section with one function.
func code(body ...byte) []byte {
	f := slices.Concat([]byte{0}, body, []byte{0x0b})
	return section(10, slices.Concat([]byte{1}, leb(len(f)), f)...)
}

// program is a module whose _start is body, with proc_exit as function 0.
func program(body ...byte) []byte {
	return wasm(types, exitFunction, oneFunction, onePage, startIs(1), code(body...))
}

func save(t testing.TB, module []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.wasm")
	if err := os.WriteFile(path, module, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// yields calls sched_yield n times.
func yields(n int) []byte {
	count := signed(n)
	body := slices.Concat(
		[]byte{0x41}, count, []byte{0x21, 0}, // i = n
		[]byte{0x03, 0x40},                      // loop
		[]byte{0x10, 0, 0x1a},                   // drop sched_yield()
		[]byte{0x20, 0, 0x41, 1, 0x6b, 0x22, 0}, // i = i - 1
		[]byte{0x0d, 0, 0x0b, 0x0b})             // br_if i
	f := append([]byte{1, 1, 0x7f}, body...) // one local, an i32
	return wasm(types, importing(wasi.Namespace, "sched_yield", 0, 2), oneFunction, onePage, startIs(1),
		section(10, slices.Concat([]byte{1}, leb(len(f)), f)...))
}

// signed is n >= 0 in signed LEB128.
func signed(n int) []byte {
	b := leb(n)
	if b[len(b)-1]&0x40 != 0 {
		b[len(b)-1] |= 0x80
		b = append(b, 0)
	}
	return b
}
