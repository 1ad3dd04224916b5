package wasm

import (
	"math/bits"

	"github.com/shoal-mesh/shoal/executor/wasm/module"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

const (
	pageSize    = module.PageSize
	defaultSize = 256 << 20 // bytes of memory where a job does not say
	maxPages    = 1 << 16   // 4 GiB, all that 32 bits address

	// overhead is what the child may have besides the program's memory: the
	// engine, the compiled code, the Go runtime.
	overhead = 256 << 20
)

// pagesFor rounds a memory limit up to a class, in WebAssembly pages: four
// classes between two powers of two, so that a program gets at most a quarter
// more than it asked for and the usual sizes are exact. A module is compiled
// once per class.
func pagesFor(limit job.Bytes) uint32 {
	if limit <= 0 {
		limit = defaultSize
	}
	pages := uint64(limit-1)/pageSize + 1
	if pages >= maxPages {
		return maxPages
	}
	step := uint64(1)
	if n := bits.Len64(pages - 1); n > 3 {
		step = 1 << (n - 3)
	}
	return uint32(min((pages+step-1)/step*step, maxPages))
}
