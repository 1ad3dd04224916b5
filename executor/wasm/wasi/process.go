package wasi

import (
	"crypto/rand"
	"time"

	"golang.org/x/sys/unix"
)

// putStrings lays out a list as C wants it: pointers at argument 0, the
// NUL-terminated strings at argument 1.
func putStrings(c call, list []string) Errno {
	ptrs, buf := c.u32(0), c.u32(1)
	for i, s := range list {
		c.mem.put32(ptrs+uint32(i)*4, buf)
		b := c.mem.bytes(buf, uint32(len(s))+1)
		b[copy(b, s)] = 0
		buf += uint32(len(s)) + 1
	}
	return 0
}

func putSizes(c call, list []string) Errno {
	n := 0
	for _, s := range list {
		n += len(s) + 1
	}
	c.mem.put32(c.u32(0), uint32(len(list)))
	c.mem.put32(c.u32(1), uint32(n))
	return 0
}

func (s *System) argsGet(c call) Errno         { return putStrings(c, s.cfg.Args) }
func (s *System) argsSizesGet(c call) Errno    { return putSizes(c, s.cfg.Args) }
func (s *System) environGet(c call) Errno      { return putStrings(c, s.cfg.Env) }
func (s *System) environSizesGet(c call) Errno { return putSizes(c, s.cfg.Env) }

// Clocks.
const (
	clockRealtime  = 0
	clockMonotonic = 1
	clockProcess   = 2
	clockThread    = 3
)

// now reads a clock. The monotonic one starts with the program: how long this
// machine has been up is none of its business.
func (s *System) now(clock uint32) (uint64, Errno) {
	switch clock {
	case clockRealtime:
		return uint64(time.Now().UnixNano()), 0
	case clockMonotonic:
		return uint64(time.Since(s.started)) + 1, 0
	case clockProcess, clockThread:
		id := int32(unix.CLOCK_PROCESS_CPUTIME_ID)
		if clock == clockThread {
			id = unix.CLOCK_THREAD_CPUTIME_ID
		}
		var t unix.Timespec
		if err := unix.ClockGettime(id, &t); err != nil {
			return 0, errnoOf(err)
		}
		return uint64(t.Nano()), 0
	}
	return 0, einval
}

func (s *System) clockTimeGet(c call) Errno {
	t, e := s.now(c.u32(0))
	if e == 0 {
		c.mem.put64(c.u32(2), t)
	}
	return e
}

func (s *System) clockResGet(c call) Errno {
	if c.u32(0) > clockThread {
		return einval
	}
	c.mem.put64(c.u32(1), 1)
	return 0
}

func (s *System) randomGet(c call) Errno {
	rand.Read(c.mem.bytes(c.u32(0), c.u32(1))) // never fails: it ends the process instead
	return 0
}

// schedYield lets other processes run. Go's own yield would cost thousands of
// times as much where the program runs in a thread of C's.
func (s *System) schedYield(call) Errno {
	unix.RawSyscallNoError(unix.SYS_SCHED_YIELD, 0, 0, 0)
	return 0
}

func (s *System) procExit(c call) Errno {
	s.cfg.Exit(c.u32(0))
	return 0
}

func (s *System) notSocket(c call) Errno {
	if _, e := s.fd(c.u32(0)); e != 0 {
		return e
	}
	return enotsock
}
