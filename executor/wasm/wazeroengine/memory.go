package wazeroengine

import (
	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// region is the program's memory: addresses reserved for all that it may ever
// have, made usable as it grows. It never moves, so growing copies nothing, and
// only what is used counts against the limit of the process.
type region struct{ all []byte }

func reserve(_, limit uint64) experimental.LinearMemory {
	if limit == 0 {
		return &region{}
	}
	all, err := unix.Mmap(-1, 0, int(limit), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return &region{}
	}
	return &region{all}
}

// Reallocate makes the first size bytes usable; nil if there is no memory.
func (r *region) Reallocate(size uint64) []byte {
	if size > uint64(len(r.all)) {
		return nil
	}
	if size == 0 {
		return r.all[:0]
	}
	if err := unix.Mprotect(r.all[:size], unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return nil
	}
	return r.all[:size:len(r.all)]
}

// Free gives the addresses back.
func (r *region) Free() {
	if r.all != nil {
		_ = unix.Munmap(r.all) // the process ends with the program anyway
		r.all = nil
	}
}
