package wasi

import (
	"encoding/binary"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const filestatSize = 64

// fileType translates the type bits of a host's mode.
func fileType(mode uint32) byte {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return fileRegular
	case unix.S_IFDIR:
		return fileDirectory
	case unix.S_IFLNK:
		return fileSymlink
	case unix.S_IFBLK:
		return fileBlockDevice
	case unix.S_IFCHR:
		return fileCharDevice
	}
	return fileUnknown
}

// filestat is the record that a program sees.
type filestat struct {
	dev, ino            uint64
	kind                byte
	nlink, size         uint64
	atime, mtime, ctime int64
}

func (f filestat) put(m memory, ptr uint32) {
	b := m.bytes(ptr, filestatSize)
	clear(b)
	le := binary.LittleEndian
	le.PutUint64(b, f.dev)
	le.PutUint64(b[8:], f.ino)
	b[16] = f.kind
	le.PutUint64(b[24:], f.nlink)
	le.PutUint64(b[32:], f.size)
	le.PutUint64(b[40:], uint64(f.atime))
	le.PutUint64(b[48:], uint64(f.mtime))
	le.PutUint64(b[56:], uint64(f.ctime))
}

func statOf(fi os.FileInfo) filestat {
	st := fi.Sys().(*syscall.Stat_t)
	return filestat{
		dev: uint64(st.Dev), ino: st.Ino, kind: fileType(st.Mode), nlink: uint64(st.Nlink), size: uint64(st.Size),
		atime: st.Atim.Nano(), mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(),
	}
}

// stat describes a folder of the virtual tree: it is as old as the program.
func (s *System) nodeStat(n *node) filestat {
	t := s.started.UnixNano()
	return filestat{ino: n.ino, kind: fileDirectory, nlink: 1, atime: t, mtime: t, ctime: t}
}

// stat describes p, or what it links to.
func (s *System) stat(p place, follow bool) (filestat, Errno) {
	switch {
	case p.missing != "":
		return filestat{}, enoent
	case p.root == nil:
		return s.nodeStat(p.node), 0
	}
	look := p.root.Lstat
	if follow {
		look = p.root.Stat
	}
	fi, err := look(p.name)
	if err != nil {
		return filestat{}, errnoOf(err)
	}
	return statOf(fi), 0
}

func (s *System) fdFilestatGet(c call) Errno {
	d, e := s.fd(c.u32(0))
	if e != 0 {
		return e
	}
	st := filestat{kind: d.kind}
	switch {
	case d.node != nil:
		st = s.nodeStat(d.node)
	case d.file != nil:
		fi, err := d.file.Stat()
		if err != nil {
			return errnoOf(err)
		}
		st = statOf(fi)
	}
	st.put(c.mem, c.u32(1))
	return 0
}

func (s *System) pathFilestatGet(c call) Errno {
	p, e := s.find(c.u32(0), c.path(2))
	if e != 0 {
		return e
	}
	st, e := s.stat(p, c.u32(1)&followSymlink != 0)
	if e == 0 {
		st.put(c.mem, c.u32(4))
	}
	return e
}

// times reads the arguments atime, mtime and flags from argument i on.
func times(c call, i int) (ts [2]unix.Timespec, e Errno) {
	flags := c.u32(i + 2)
	for j, f := range [2]struct{ set, now uint32 }{{setAtime, setAtimeNow}, {setMtime, setMtimeNow}} {
		switch flags & (f.set | f.now) {
		case 0:
			ts[j].Nsec = unix.UTIME_OMIT
		case f.set:
			ts[j] = unix.NsecToTimespec(int64(c.u64(i + j)))
		case f.now:
			ts[j].Nsec = unix.UTIME_NOW
		default:
			return ts, einval
		}
	}
	return ts, 0
}

func (s *System) fdFilestatSetTimes(c call) Errno {
	d, e := s.fd(c.u32(0))
	if e != 0 {
		return e
	}
	ts, e := times(c, 1)
	switch {
	case e != 0:
		return e
	case d.node != nil:
		return erofs
	case d.file == nil:
		return enotsup
	case !d.mount.write:
		return erofs
	}
	return errnoOf(setTimes(d.host, &ts))
}

func (s *System) pathFilestatSetTimes(c call) Errno {
	p, e := s.find(c.u32(0), c.path(2))
	if e != 0 {
		return e
	}
	ts, e := times(c, 4)
	if e != 0 {
		return e
	}
	follow := c.u32(1)&followSymlink != 0
	if _, e := s.stat(p, follow); e != 0 {
		return e
	}
	if p.root == nil || !p.mount.write {
		return erofs
	}
	if follow || p.point {
		d, e := p.open(unix.O_RDONLY, 0)
		if e != 0 {
			return e
		}
		defer d.close()
		return errnoOf(setTimes(d.host, &ts))
	}
	dir, base, e := p.parent()
	if e != 0 {
		return e
	}
	defer dir.Close()
	return errnoOf(unix.UtimesNanoAt(int(dir.Fd()), base, ts[:], unix.AT_SYMLINK_NOFOLLOW))
}
