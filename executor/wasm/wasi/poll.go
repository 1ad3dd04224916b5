package wasi

import (
	"encoding/binary"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// Sizes and tags of poll_oneoff's records.
const (
	subscriptionSize = 48
	eventSize        = 32

	pollClock = 0
	pollRead  = 1
	pollWrite = 2

	clockAbsolute = 1
)

type event struct {
	user  uint64
	errno Errno
	tag   byte
	bytes uint64
}

// pollOneoff waits for the first of several things. Files and streams are
// always ready; only clocks make it wait.
func (s *System) pollOneoff(c call) Errno {
	in, out, n := c.u32(0), c.u32(1), c.u32(2)
	if n == 0 {
		return einval
	}
	if n > math.MaxUint32/subscriptionSize {
		return efault
	}
	subs := c.mem.bytes(in, n*subscriptionSize)
	c.mem.bytes(out, n*eventSize)
	c.mem.bytes(c.u32(3), 4)

	var ready []event
	waits := make([]time.Duration, n)
	shortest := time.Duration(math.MaxInt64)
	for i := range waits {
		sub := subs[i*subscriptionSize:]
		waits[i] = -1
		ev := event{user: binary.LittleEndian.Uint64(sub), tag: sub[8]}
		switch ev.tag {
		case pollClock:
			var d time.Duration
			if d, ev.errno = s.timeout(sub[16:]); ev.errno == 0 {
				waits[i] = d
				shortest = min(shortest, d)
				continue
			}
		case pollRead, pollWrite:
			ev.bytes, ev.errno = s.pending(binary.LittleEndian.Uint32(sub[16:]), ev.tag)
		default:
			return einval
		}
		ready = append(ready, ev)
	}
	if len(ready) == 0 {
		time.Sleep(shortest)
	} else {
		shortest = 0
	}
	for i, d := range waits {
		if d >= 0 && d <= shortest {
			ready = append(ready, event{user: binary.LittleEndian.Uint64(subs[i*subscriptionSize:]), tag: pollClock})
		}
	}
	for i, ev := range ready {
		b := c.mem.bytes(out+uint32(i)*eventSize, eventSize)
		clear(b)
		binary.LittleEndian.PutUint64(b, ev.user)
		binary.LittleEndian.PutUint16(b[8:], uint16(ev.errno))
		b[10] = ev.tag
		binary.LittleEndian.PutUint64(b[16:], ev.bytes)
	}
	c.mem.put32(c.u32(3), uint32(len(ready)))
	return 0
}

// timeout is how long a clock subscription has still to wait.
func (s *System) timeout(sub []byte) (time.Duration, Errno) {
	clock := binary.LittleEndian.Uint32(sub)
	t := binary.LittleEndian.Uint64(sub[8:])
	if clock > clockMonotonic {
		return 0, enotsup
	}
	if binary.LittleEndian.Uint16(sub[24:])&clockAbsolute != 0 {
		now, e := s.now(clock)
		if e != 0 {
			return 0, e
		}
		t -= min(t, now)
	}
	return time.Duration(min(t, math.MaxInt64)), 0
}

// pending is how much a descriptor can give or take now.
func (s *System) pending(fd uint32, tag byte) (uint64, Errno) {
	d, e := s.fd(fd)
	if e != 0 {
		return 0, e
	}
	if d.file == nil || tag == pollWrite {
		return 0, 0
	}
	at, err := unix.Seek(d.host, 0, unix.SEEK_CUR)
	if err != nil {
		return 0, errnoOf(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(d.host, &st); err != nil {
		return 0, errnoOf(err)
	}
	return uint64(max(0, st.Size-at)), 0
}
