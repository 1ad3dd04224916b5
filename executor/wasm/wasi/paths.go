package wasi

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

func (s *System) pathOpen(c call) Errno {
	p, e := s.find(c.u32(0), c.path(2))
	if e != 0 {
		return e
	}
	how := opening{
		follow: c.u32(1)&followSymlink != 0,
		oflags: c.u32(4),
		rights: c.u64(5),
		flags:  uint16(c.u32(7)),
	}
	c.mem.bytes(c.u32(8), 4)
	d, e := s.open(p, how)
	if e != 0 {
		return e
	}
	n, e := s.add(d)
	if e != 0 {
		return e
	}
	c.mem.put32(c.u32(8), n)
	return 0
}

// opening is how a program wants to open a path.
type opening struct {
	follow bool
	oflags uint32
	rights uint64
	flags  uint16
}

func (h opening) has(flag uint32) bool { return h.oflags&flag != 0 }

// writes reports whether the program wants to change the file. Only FD_WRITE
// says so: Go asks for every other right even to read.
func (h opening) writes() bool { return h.rights&rightFDWrite != 0 && !h.has(openDirectory) }

func (s *System) open(p place, h opening) (*desc, Errno) {
	if h.has(openCreate) && h.has(openDirectory) {
		return nil, einval
	}
	if p.root == nil {
		return s.openVirtual(p, h)
	}
	if !p.mount.write {
		if e := s.readOnly(p, &h); e != 0 {
			return nil, e
		}
	}
	if !h.follow {
		if st, e := s.stat(p, false); e == 0 && st.kind == fileSymlink {
			return nil, eloop
		}
	}
	d, e := p.open(h.host(), 0o644)
	if e != 0 {
		return nil, e
	}
	d.flags = h.flags
	if d.kind == fileRegular {
		d.rights &= h.rights
	}
	return d, 0
}

func (s *System) openVirtual(p place, h opening) (*desc, Errno) {
	switch {
	case p.missing != "" && h.has(openCreate):
		return nil, erofs
	case p.missing != "":
		return nil, enoent
	case h.has(openCreate) && h.has(openExclusive):
		return nil, eexist
	case h.has(openTruncate) || h.writes():
		return nil, eisdir
	}
	return s.openNode(p.node)
}

// readOnly refuses what would change a read-only mount, and to open what is
// neither a file nor a folder. Creating a file that is there already is only
// opening it.
func (s *System) readOnly(p place, h *opening) Errno {
	st, e := s.stat(p, h.follow)
	switch {
	case e == 0 && st.kind != fileRegular && st.kind != fileDirectory && st.kind != fileSymlink:
		return enotsup
	case e == enoent && h.has(openCreate):
		return erofs
	case e == 0 && h.has(openCreate) && h.has(openExclusive):
		return eexist
	}
	h.oflags &^= openCreate | openExclusive
	if h.writes() || h.has(openTruncate) {
		return erofs
	}
	return 0
}

// host translates to flags of open(2).
func (h opening) host() int {
	flags := unix.O_RDONLY
	switch {
	case h.writes() && h.rights&rightFDRead != 0:
		flags = unix.O_RDWR
	case h.writes():
		flags = unix.O_WRONLY
	}
	for _, f := range [...]struct {
		guest uint32
		host  int
	}{{openCreate, unix.O_CREAT}, {openDirectory, unix.O_DIRECTORY}, {openExclusive, unix.O_EXCL}, {openTruncate, unix.O_TRUNC}} {
		if h.has(f.guest) {
			flags |= f.host
		}
	}
	if h.flags&flagAppend != 0 {
		flags |= unix.O_APPEND
	}
	if h.flags&flagDSync != 0 {
		flags |= unix.O_DSYNC
	}
	if h.flags&(flagSync|flagRSync) != 0 {
		flags |= unix.O_SYNC
	}
	return flags
}

func (s *System) pathCreateDirectory(c call) Errno {
	p, e := s.find(c.u32(0), c.path(1))
	if e != 0 {
		return e
	}
	if e := p.change(); e != 0 {
		if _, missing := s.stat(p, false); missing == 0 {
			return eexist
		}
		return e
	}
	return errnoOf(p.root.Mkdir(p.name, 0o755))
}

func (s *System) pathRemoveDirectory(c call) Errno { return s.unlink(c, unix.AT_REMOVEDIR) }
func (s *System) pathUnlinkFile(c call) Errno      { return s.unlink(c, 0) }

func (s *System) unlink(c call, flags int) Errno {
	p, e := s.find(c.u32(0), c.path(1))
	if e != 0 {
		return e
	}
	if e := p.change(); e != 0 {
		if _, missing := s.stat(p, false); missing != 0 {
			return missing
		}
		return e
	}
	dir, base, e := p.parent()
	if e != 0 {
		return e
	}
	defer dir.Close()
	return errnoOf(unix.Unlinkat(int(dir.Fd()), base, flags))
}

// pair is the two places of a rename or link, both changeable and in one mount.
func (s *System) pair(from, to place) Errno {
	for _, p := range [...]place{from, to} {
		if e := p.change(); e != 0 {
			return e
		}
	}
	if from.mount != to.mount {
		return exdev
	}
	return 0
}

func (s *System) pathRename(c call) Errno {
	from, e := s.find(c.u32(0), c.path(1))
	if e != 0 {
		return e
	}
	to, e := s.find(c.u32(3), c.path(4))
	if e != 0 {
		return e
	}
	if _, e := s.stat(from, false); e != 0 {
		return e
	}
	if e := s.pair(from, to); e != 0 {
		return e
	}
	fromDir, fromBase, e := from.parent()
	if e != 0 {
		return e
	}
	defer fromDir.Close()
	toDir, toBase, e := to.parent()
	if e != 0 {
		return e
	}
	defer toDir.Close()
	return errnoOf(unix.Renameat(int(fromDir.Fd()), fromBase, int(toDir.Fd()), toBase))
}

func (s *System) pathLink(c call) Errno {
	if c.u32(1)&followSymlink != 0 {
		return einval
	}
	from, e := s.find(c.u32(0), c.path(2))
	if e != 0 {
		return e
	}
	to, e := s.find(c.u32(4), c.path(5))
	if e != 0 {
		return e
	}
	st, e := s.stat(from, false)
	if e != 0 {
		return e
	}
	if e := s.pair(from, to); e != 0 {
		return e
	}
	if st.kind == fileDirectory {
		return eperm
	}
	fromDir, fromBase, e := from.parent()
	if e != 0 {
		return e
	}
	defer fromDir.Close()
	toDir, toBase, e := to.parent()
	if e != 0 {
		return e
	}
	defer toDir.Close()
	// With a slash at its end the host would follow the name.
	if strings.HasSuffix(fromBase, "/") {
		return enotdir
	}
	return errnoOf(unix.Linkat(int(fromDir.Fd()), fromBase, int(toDir.Fd()), toBase, 0))
}

// pathSymlink makes relative links only. Nothing would follow an absolute one,
// here or when the result is published.
func (s *System) pathSymlink(c call) Errno {
	target := c.path(0)
	p, e := s.find(c.u32(2), c.path(3))
	switch {
	case e != 0:
		return e
	case target == "":
		return enoent
	case path.IsAbs(target):
		return eperm
	}
	if e := p.change(); e != 0 {
		if _, missing := s.stat(p, false); missing == 0 {
			return eexist
		}
		return e
	}
	dir, base, e := p.parent()
	if e != 0 {
		return e
	}
	defer dir.Close()
	return errnoOf(unix.Symlinkat(target, int(dir.Fd()), base))
}

func (s *System) pathReadlink(c call) Errno {
	p, e := s.find(c.u32(0), c.path(1))
	if e != 0 {
		return e
	}
	if p.root == nil {
		if p.missing != "" {
			return enoent
		}
		return einval
	}
	target, err := p.root.Readlink(p.name)
	if err != nil {
		return errnoOf(err)
	}
	n := copy(c.mem.bytes(c.u32(3), c.u32(4)), target)
	return done(c, c.u32(5), n, nil)
}
