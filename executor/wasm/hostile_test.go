package wasm

import (
	"strings"
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/executor/wasm/wasi"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Modules that cannot run: the job is told why, and no machine is blamed.
func TestBadModules(t *testing.T) {
	unreachable := code(0x00)
	for _, c := range []struct {
		name   string
		module []byte
		want   string
	}{
		{"empty", nil, "no WebAssembly: the file is empty"},
		{"text", []byte("hello, world"), "no WebAssembly"},
		{"ELF", []byte("\x7fELF\x02\x01\x01"), "a Linux program"},
		{"text form", []byte("(module (func))"), "text form"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00rest"), "component"},
		{"unknown version", []byte("\x00asm\x02\x00\x00\x00"), "version"},
		{"only a header", wasm(), "no _start"},
		{"cut off", program(0x00)[:70], "damaged"},
		{"reactor", wasm(types, oneFunction, onePage, noStart, unreachable), "no _start function"},
		{"foreign import", wasm(types, importing("env", "abort", 0, 0), oneFunction, onePage, startIs(1), unreachable), `"env"."abort"`},
		{"old WASI", wasm(types, importing("wasi_unstable", "proc_exit", 0, 1), oneFunction, startIs(1), unreachable), "wasi_unstable"},
		{"imported memory", wasm(types, importing("env", "memory", 2, 0, 1), oneFunction, startIs(0), unreachable), "imports its memory"},
		{"imported global", wasm(types, importing("env", "g", 3, 0x7f, 0), oneFunction, startIs(0), unreachable), "is no function"},
		{"two memories", wasm(types, oneFunction, section(5, 2, 0, 1, 0, 1), startIs(0), unreachable), "2 memories"},
		{"shared memory", wasm(types, oneFunction, section(5, 1, 3, 1, 2), startIs(0), unreachable), "shared memory"},
		{"64-bit memory", wasm(types, oneFunction, section(5, 1, 4, 1), startIs(0), unreachable), "64-bit"},
		{"too much memory", wasm(types, oneFunction, section(5, append([]byte{1, 0}, leb(60000)...)...), startIs(0), unreachable), "needs 3750 MiB of memory from the start, the job allows 256 MiB"},
		{"wrong type of import", wasm(types, importing(wasi.Namespace, "proc_exit", 0, 2), oneFunction, onePage, startIs(1), unreachable), "proc_exit"},
		{"invalid code", wasm(types, oneFunction, onePage, startIs(0), code(0x6a)), "no valid WebAssembly"},
		{"unknown instruction", wasm(types, oneFunction, onePage, startIs(0), code(0xff)), "no valid WebAssembly"},
		{"tail call", wasm(types, oneFunction, onePage, startIs(0), code(0x12, 0)), "no valid WebAssembly"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := save(t, c.module)
			both(t, func(t *testing.T, x *Executor) {
				r, err := x.Run(t.Context(), task(t, path))
				if err != nil || r.Exit != ExitBadModule || !strings.Contains(r.Error, c.want) {
					t.Errorf("got %+v, error %v; want %q", r, err, c.want)
				}
			})
		})
	}
}

func TestTraps(t *testing.T) {
	for _, c := range []struct {
		name   string
		module []byte
		want   string
	}{
		{"unreachable", program(0x00), "unreachable"},
		{"out of memory's bounds", program(0x41, 0x7f, 0x28, 2, 0, 0x1a), "out of bounds"},
		{"division by zero", program(0x41, 1, 0x41, 0, 0x6d, 0x1a), "divi"},
		{"endless recursion", program(0x10, 1), "stack"},
		{"in the start function", wasm(types, exitFunction, oneFunction, onePage, startIs(1), section(8, 1), code(0x00)), "unreachable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := save(t, c.module)
			both(t, func(t *testing.T, x *Executor) {
				r, err := x.Run(t.Context(), task(t, path))
				if err != nil || r.Exit != ExitTrap || !strings.Contains(r.Error, c.want) {
					t.Errorf("got %+v, error %v; want %q", r, err, c.want)
				}
			})
		})
	}
}

// A start function runs before _start, and is bounded as well.
func TestEndlessStartFunction(t *testing.T) {
	path := save(t, wasm(types, exitFunction, oneFunction, onePage, startIs(1), section(8, 1), code(0x03, 0x40, 0x0c, 0, 0x0b)))
	both(t, func(t *testing.T, x *Executor) {
		tk := task(t, path)
		tk.Limits.Wall = time.Second
		r, err := x.Run(t.Context(), tk)
		if err != nil || r.Exit != ExitKilled || !strings.Contains(r.Error, "time-out") || r.Usage.CPU == 0 || r.Usage.Memory == 0 {
			t.Errorf("got %+v, error %v", r, err)
		}
	})
}

// A program gets the memory of its limit, exactly, and not a page more.
func TestMemoryLimit(t *testing.T) {
	// Grows by a page until it may not, then ends with size/16.
	path := save(t, program(
		0x03, 0x40, 0x41, 1, 0x40, 0, 0x41, 0x7f, 0x47, 0x0d, 0, 0x0b, // loop: br_if memory.grow(1) != -1
		0x3f, 0, 0x41, 4, 0x76, 0x10, 0)) // proc_exit(memory.size >> 4)
	both(t, func(t *testing.T, x *Executor) {
		for mib, want := range map[int]int{64: 64, 100: 112, 1: 1} {
			tk := task(t, path)
			tk.Limits.Memory = job.Bytes(mib) << 20
			r, err := x.Run(t.Context(), tk)
			if err != nil || r.Exit != want {
				t.Errorf("with %d MiB: got %+v, error %v; want %d", mib, r, err, want)
			}
		}
	})
}

// What a call of the system costs the host is given back.
func TestCallsDoNotLeak(t *testing.T) {
	const calls = 1_000_000
	x := open(t, Config{Runner: runnerDir(t)})
	r, err := x.Run(t.Context(), task(t, save(t, yields(calls))))
	if err != nil || !r.OK() {
		t.Fatalf("got %+v, error %v", r, err)
	}
	// Wasmer itself would lose over 100 MiB in that many calls, see runner.c.
	if r.Usage.Memory > 80<<20 {
		t.Errorf("%d calls took %d MiB", calls, r.Usage.Memory>>20)
	}
}
