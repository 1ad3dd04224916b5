package wasi

import (
	"os"

	"golang.org/x/sys/unix"
)

// openPath opens a folder only to name things in it.
const openPath = unix.O_PATH | unix.O_DIRECTORY

// maxDescriptors is how many a program may have open.
const maxDescriptors = 1024

// desc is an open descriptor: standard input, a stream, a folder of the virtual
// tree (node), a folder below a mount (file, root) or a file (file).
type desc struct {
	kind            byte
	rights, inherit uint64
	flags           uint16
	preopen         bool

	stdin   bool
	stream  *Stream
	node    *node
	mount   *mount
	file    *os.File
	host    int      // file's descriptor at the host
	root    *os.Root // a folder's paths go through this
	top     bool     // the folder is the mount itself
	listing []dirent // as of the last fd_readdir from the beginning
}

func (d *desc) close() {
	if d.file != nil {
		d.file.Close()
	}
	if d.root != nil {
		d.root.Close()
	}
}

// fd is an open descriptor.
func (s *System) fd(n uint32) (*desc, Errno) {
	if uint64(n) >= uint64(len(s.fds)) || s.fds[n] == nil {
		return nil, ebadf
	}
	return s.fds[n], 0
}

// regular is a descriptor that has bytes at offsets.
func (s *System) regular(n uint32) (*desc, Errno) {
	d, e := s.fd(n)
	switch {
	case e != 0:
		return nil, e
	case d.kind == fileDirectory:
		return nil, eisdir
	case d.file == nil:
		return nil, espipe
	}
	return d, 0
}

// add gives d the lowest free descriptor.
func (s *System) add(d *desc) (uint32, Errno) {
	for i, old := range s.fds {
		if old == nil {
			s.fds[i] = d
			return uint32(i), 0
		}
	}
	if len(s.fds) >= maxDescriptors {
		d.close()
		return 0, emfile
	}
	s.fds = append(s.fds, d)
	return uint32(len(s.fds) - 1), 0
}

// openNode opens a folder of the tree, or the mount that is in its place.
func (s *System) openNode(n *node) (*desc, Errno) {
	if n.mount == nil {
		return &desc{kind: fileDirectory, node: n, rights: rightsDir, inherit: rightsAll}, 0
	}
	p, e := n.mount.place("")
	if e != 0 {
		return nil, e
	}
	return p.open(unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

// open opens p at the host. Only files and folders are opened: a FIFO or device
// that somebody left in a mount must not block or be reached.
func (p place) open(flags int, perm os.FileMode) (*desc, Errno) {
	f, err := p.root.OpenFile(p.name, flags|unix.O_NONBLOCK|unix.O_NOCTTY, perm)
	if err != nil {
		return nil, errnoOf(err)
	}
	d := &desc{file: f, host: int(f.Fd()), mount: p.mount, top: p.point}
	var st unix.Stat_t
	if err := unix.Fstat(d.host, &st); err != nil {
		d.close()
		return nil, errnoOf(err)
	}
	switch d.kind = fileType(st.Mode); d.kind {
	case fileRegular:
		d.rights = rightsFile
	case fileDirectory:
		d.rights, d.inherit = rightsDir, rightsAll
		if d.root, err = p.root.OpenRoot(p.name); err != nil {
			d.close()
			return nil, errnoOf(err)
		}
	default:
		d.close()
		return nil, enotsup
	}
	return d, 0
}
