package wasi

import "encoding/binary"

// memory is the program's linear memory during one call. Its methods panic with
// fault when a pointer leads out of it; System.Call turns that into EFAULT.
type memory []byte

type fault struct{}

func (m memory) bytes(ptr, n uint32) []byte {
	end := uint64(ptr) + uint64(n)
	if end > uint64(len(m)) {
		panic(fault{})
	}
	return m[ptr:end:end]
}

func (m memory) put32(ptr, v uint32)        { binary.LittleEndian.PutUint32(m.bytes(ptr, 4), v) }
func (m memory) put64(ptr uint32, v uint64) { binary.LittleEndian.PutUint64(m.bytes(ptr, 8), v) }

// call is the memory and the arguments of one call.
type call struct {
	mem memory
	arg []uint64
}

func (c call) u32(i int) uint32 { return uint32(c.arg[i]) }
func (c call) u64(i int) uint64 { return c.arg[i] }

// path reads the string whose pointer and length are arguments i and i+1.
func (c call) path(i int) string { return string(c.mem.bytes(c.u32(i), c.u32(i+1))) }

// maxVectors is what the host takes in one call, and more than any libc sends.
const maxVectors = 1024

// vectors reads the list of buffers whose pointer and length are arguments i
// and i+1 into s.iov.
func (s *System) vectors(c call, i int) ([][]byte, Errno) {
	ptr, n := c.u32(i), c.u32(i+1)
	if n > maxVectors {
		return nil, einval
	}
	list := c.mem.bytes(ptr, n*8)
	s.iov = s.iov[:0]
	for ; len(list) > 0; list = list[8:] {
		b := c.mem.bytes(binary.LittleEndian.Uint32(list), binary.LittleEndian.Uint32(list[4:]))
		if len(b) > 0 {
			s.iov = append(s.iov, b)
		}
	}
	return s.iov, 0
}
