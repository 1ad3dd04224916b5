//go:build wasmer

package main

// #cgo CFLAGS: -O2
// #cgo LDFLAGS: -lwasmer
// #include <stdlib.h>
// #include "runner.h"
import "C"

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	_ "github.com/wasmerio/wasmer-go/wasmer/packaged/include" // keeps the module, and with it the library, in go.mod
	"golang.org/x/sys/unix"

	"github.com/shoal-mesh/shoal/executor/wasm/child"
	"github.com/shoal-mesh/shoal/executor/wasm/module"
	"github.com/shoal-mesh/shoal/executor/wasm/wasi"
)

type engine struct{}

// guest is what the running program sees. C calls back without a way to carry
// it, and a process runs one program.
var guest *wasi.System

func (engine) Name() string { return "wasmer " + take(C.runner_version()) }

// take copies and frees a string of C's.
func take(s *C.char) string {
	defer C.free(unsafe.Pointer(s))
	return C.GoString(s)
}

func (engine) Compile(c child.Code) error {
	wasm, err := io.ReadAll(c.File)
	if err != nil {
		return fmt.Errorf("reading the module: %w", err)
	}
	if wasm, err = module.Limit(wasm, c.Pages, wasi.Known); err != nil {
		return child.BadModule{Reason: err.Error()}
	}
	var out unsafe.Pointer
	var size C.size_t
	if msg := C.runner_compile(unsafe.Pointer(&wasm[0]), C.size_t(len(wasm)), &out, &size); msg != nil {
		return child.BadModule{Reason: "the module is no valid WebAssembly for this engine (Wasmer): " + line(take(msg))}
	}
	code := unsafe.Slice((*byte)(out), int(size))
	if err := os.WriteFile(filepath.Join(c.Dir, "code"), code, 0o600); err != nil {
		return fmt.Errorf("keeping the compiled code: %w", err)
	}
	return nil
}

// line is the first line of an error.
func line(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

func (engine) Run(c child.Code, sys *wasi.System) error {
	fi, err := c.File.Stat()
	if err != nil {
		return fmt.Errorf("reading the compiled code: %w", err)
	}
	if fi.Size() == 0 {
		return errors.New("the compiled code is empty")
	}
	code, err := unix.Mmap(int(c.File.Fd()), 0, int(fi.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("reading the compiled code: %w", err)
	}
	guest = sys
	var msg *C.char
	switch C.runner_run(unsafe.Pointer(&code[0]), C.size_t(len(code)), &msg) {
	case C.RUNNER_REFUSED:
		return child.BadModule{Reason: "the module cannot be started: " + line(take(msg))}
	case C.RUNNER_TRAPPED:
		return child.Trap{Reason: strings.TrimPrefix(line(take(msg)), "RuntimeError: ")}
	}
	return nil
}

//export runnerFind
func runnerFind(from *C.char, fromSize C.size_t, name *C.char, nameSize C.size_t) C.int32_t {
	if C.GoStringN(from, C.int(fromSize)) != wasi.Namespace {
		return -1
	}
	wanted := C.GoStringN(name, C.int(nameSize))
	for i, f := range wasi.Functions {
		if f.Name == wanted {
			return C.int32_t(i)
		}
	}
	return -1
}

//export runnerFits
func runnerFits(function C.int32_t, params *C.char, count C.size_t, results C.int) C.int {
	f := wasi.Functions[function]
	if C.GoStringN(params, C.int(count)) != f.Params || (results == 1) != f.Result || results < 0 {
		return 0
	}
	return 1
}

//export runnerCall
func runnerCall(function C.int32_t, memory unsafe.Pointer, size C.size_t, args *C.uint64_t, count C.size_t) C.uint32_t {
	mem := unsafe.Slice((*byte)(memory), int(size))
	list := unsafe.Slice((*uint64)(unsafe.Pointer(args)), int(count))
	return C.uint32_t(guest.Call(int(function), mem, list))
}
