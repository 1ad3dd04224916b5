package wasi

import (
	"encoding/binary"
	"math"
	"unsafe"

	"golang.org/x/sys/unix"
)

// again repeats a host call that a signal interrupted.
func again(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}

func setTimes(fd int, ts *[2]unix.Timespec) error {
	if _, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(ts)), 0, 0, 0); e != 0 {
		return e
	}
	return nil
}

// done stores a count at ptr unless the call failed.
func done(c call, ptr uint32, n int, err error) Errno {
	if err != nil {
		return errnoOf(err)
	}
	c.mem.put32(ptr, uint32(n))
	return 0
}

func (s *System) fdRead(c call) Errno {
	d, e := s.fd(c.u32(0))
	if e != 0 {
		return e
	}
	iov, e := s.vectors(c, 1)
	switch {
	case e != 0:
		return e
	case d.kind == fileDirectory:
		return eisdir
	case d.stream != nil:
		return ebadf
	case d.stdin || len(iov) == 0:
		return done(c, c.u32(3), 0, nil)
	}
	n, err := again(func() (int, error) {
		if len(iov) == 1 {
			return unix.Read(d.host, iov[0])
		}
		return unix.Readv(d.host, iov)
	})
	return done(c, c.u32(3), n, err)
}

func (s *System) fdWrite(c call) Errno {
	d, e := s.fd(c.u32(0))
	if e != 0 {
		return e
	}
	iov, e := s.vectors(c, 1)
	switch {
	case e != 0:
		return e
	case d.kind == fileDirectory:
		return eisdir
	case d.stdin:
		return ebadf
	case d.stream != nil:
		return s.writeStream(c, d, iov)
	case len(iov) == 0:
		return done(c, c.u32(3), 0, nil)
	}
	n, err := again(func() (int, error) {
		if len(iov) == 1 {
			return unix.Write(d.host, iov[0])
		}
		return unix.Writev(d.host, iov)
	})
	return done(c, c.u32(3), n, err)
}

func (s *System) writeStream(c call, d *desc, iov [][]byte) Errno {
	total := 0
	for _, b := range iov {
		n, err := d.stream.Write(b)
		total += n
		if err != nil && total == 0 {
			return errnoOf(err)
		}
		if err != nil {
			break
		}
	}
	return done(c, c.u32(3), total, nil)
}

// at is the descriptor, buffers and offset of fd_pread and fd_pwrite.
func (s *System) at(c call) (*desc, [][]byte, int64, Errno) {
	d, e := s.regular(c.u32(0))
	if e != 0 {
		return nil, nil, 0, e
	}
	iov, e := s.vectors(c, 1)
	if e == 0 && c.u64(3) > math.MaxInt64 {
		e = einval
	}
	return d, iov, int64(c.u64(3)), e
}

func (s *System) fdPread(c call) Errno {
	d, iov, off, e := s.at(c)
	if e != 0 {
		return e
	}
	n, err := again(func() (int, error) { return unix.Preadv(d.host, iov, off) })
	return done(c, c.u32(4), n, err)
}

func (s *System) fdPwrite(c call) Errno {
	d, iov, off, e := s.at(c)
	if e != 0 {
		return e
	}
	n, err := again(func() (int, error) { return unix.Pwritev(d.host, iov, off) })
	return done(c, c.u32(4), n, err)
}

func (s *System) fdSeek(c call) Errno {
	d, e := s.regular(c.u32(0))
	if e != 0 {
		return e
	}
	if c.u32(2) > unix.SEEK_END {
		return einval
	}
	off, err := unix.Seek(d.host, int64(c.u64(1)), int(c.u32(2)))
	if err != nil {
		return errnoOf(err)
	}
	c.mem.put64(c.u32(3), uint64(off))
	return 0
}

func (s *System) fdTell(c call) Errno {
	d, e := s.regular(c.u32(0))
	if e != 0 {
		return e
	}
	off, err := unix.Seek(d.host, 0, unix.SEEK_CUR)
	if err != nil {
		return errnoOf(err)
	}
	c.mem.put64(c.u32(1), uint64(off))
	return 0
}

func (s *System) fdFilestatSetSize(c call) Errno {
	d, e := s.regular(c.u32(0))
	if e != 0 {
		return e
	}
	if c.u64(1) > math.MaxInt64 {
		return einval
	}
	return errnoOf(unix.Ftruncate(d.host, int64(c.u64(1))))
}

func (s *System) fdAllocate(c call) Errno {
	d, e := s.regular(c.u32(0))
	if e != 0 {
		return e
	}
	off, n := c.u64(1), c.u64(2)
	if n == 0 || off > math.MaxInt64 || n > math.MaxInt64 {
		return einval
	}
	return errnoOf(unix.Fallocate(d.host, 0, int64(off), int64(n)))
}

// fdAdvise checks its arguments and takes no advice.
func (s *System) fdAdvise(c call) Errno {
	if _, e := s.regular(c.u32(0)); e != 0 {
		return e
	}
	if c.u32(3) > 5 {
		return einval
	}
	return 0
}

func (s *System) fdSync(c call) Errno     { return s.sync(c, unix.Fsync) }
func (s *System) fdDatasync(c call) Errno { return s.sync(c, unix.Fdatasync) }

func (s *System) sync(c call, f func(int) error) Errno {
	d, e := s.fd(c.u32(0))
	switch {
	case e != 0:
		return e
	case d.node != nil:
		return 0
	case d.file == nil:
		return einval
	}
	return errnoOf(f(d.host))
}

func (s *System) fdClose(c call) Errno {
	n := c.u32(0)
	d, e := s.fd(n)
	if e != 0 {
		return e
	}
	d.close()
	s.fds[n] = nil
	return 0
}

func (s *System) fdRenumber(c call) Errno {
	from, to := c.u32(0), c.u32(1)
	d, e := s.fd(from)
	if e != 0 {
		return e
	}
	old, e := s.fd(to)
	if e != 0 {
		return e
	}
	if from == to {
		return 0
	}
	old.close()
	s.fds[to], s.fds[from] = d, nil
	return 0
}

func (s *System) fdFdstatGet(c call) Errno {
	d, e := s.fd(c.u32(0))
	if e != 0 {
		return e
	}
	b := c.mem.bytes(c.u32(1), 24)
	clear(b)
	b[0] = d.kind
	binary.LittleEndian.PutUint16(b[2:], d.flags)
	binary.LittleEndian.PutUint64(b[8:], d.rights)
	binary.LittleEndian.PutUint64(b[16:], d.inherit)
	return 0
}

// fdFdstatSetFlags can change what the host can: appending. Files never block,
// so that flag is only remembered; the others are fixed when a file is opened.
func (s *System) fdFdstatSetFlags(c call) Errno {
	d, e := s.fd(c.u32(0))
	if e != 0 {
		return e
	}
	want := uint16(c.u32(1))
	if (want^d.flags)&^(flagAppend|flagNonblock) != 0 {
		return enotsup
	}
	if d.file != nil {
		flags, err := unix.FcntlInt(uintptr(d.host), unix.F_GETFL, 0)
		if err != nil {
			return errnoOf(err)
		}
		flags &^= unix.O_APPEND
		if want&flagAppend != 0 {
			flags |= unix.O_APPEND
		}
		if _, err := unix.FcntlInt(uintptr(d.host), unix.F_SETFL, flags); err != nil {
			return errnoOf(err)
		}
	}
	d.flags = want
	return 0
}

func (s *System) fdFdstatSetRights(c call) Errno {
	d, e := s.fd(c.u32(0))
	if e != 0 {
		return e
	}
	base, inherit := c.u64(1), c.u64(2)
	if base&^d.rights != 0 || inherit&^d.inherit != 0 {
		return 76 // ENOTCAPABLE: rights only shrink
	}
	d.rights, d.inherit = base, inherit
	return 0
}
