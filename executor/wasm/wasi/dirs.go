package wasi

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// rootName is how the one preopened folder is called.
const rootName = "/"

func (s *System) fdPrestatGet(c call) Errno {
	d, e := s.fd(c.u32(0))
	if e != 0 || !d.preopen {
		return ebadf
	}
	c.mem.put64(c.u32(1), uint64(len(rootName))<<32) // tag 0, a folder
	return 0
}

func (s *System) fdPrestatDirName(c call) Errno {
	d, e := s.fd(c.u32(0))
	if e != 0 || !d.preopen {
		return ebadf
	}
	if c.u32(2) < uint32(len(rootName)) {
		return enametoolong
	}
	copy(c.mem.bytes(c.u32(1), c.u32(2)), rootName)
	return 0
}

type dirent struct {
	ino  uint64
	kind byte
	name string
}

// fdReaddir lists a folder. The cookie is the number of entries that the
// program has seen; a listing is a snapshot, taken when it starts anew.
func (s *System) fdReaddir(c call) Errno {
	d, e := s.fd(c.u32(0))
	if e != 0 {
		return e
	}
	if d.kind != fileDirectory {
		return enotdir
	}
	buf, cookie := c.mem.bytes(c.u32(1), c.u32(2)), c.u64(3)
	c.mem.bytes(c.u32(4), 4)
	if cookie == 0 || d.listing == nil {
		if e := s.list(d); e != 0 {
			return e
		}
	}
	n := 0
	for i := cookie; i < uint64(len(d.listing)) && n < len(buf); i++ {
		n += copy(buf[n:], d.listing[i].encode(i+1))
	}
	return done(c, c.u32(4), n, nil)
}

// encode is an entry as programs read it: a record of 24 bytes and the name.
func (d dirent) encode(next uint64) []byte {
	b := make([]byte, 24, 24+len(d.name))
	binary.LittleEndian.PutUint64(b, next)
	binary.LittleEndian.PutUint64(b[8:], d.ino)
	binary.LittleEndian.PutUint32(b[16:], uint32(len(d.name)))
	b[20] = d.kind
	return append(b, d.name...)
}

func (s *System) list(d *desc) Errno {
	d.listing = d.listing[:0]
	if d.node != nil {
		up := d.node
		if up.parent != nil {
			up = up.parent
		}
		d.listing = append(d.listing, dirent{d.node.ino, fileDirectory, "."}, dirent{up.ino, fileDirectory, ".."})
		for _, name := range d.node.names() {
			child := d.node.children[name]
			d.listing = append(d.listing, dirent{child.ino, child.kind(), name})
		}
		return 0
	}
	if _, err := unix.Seek(d.host, 0, unix.SEEK_SET); err != nil {
		return errnoOf(err)
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := again(func() (int, error) { return unix.Getdents(d.host, buf) })
		if err != nil {
			return errnoOf(err)
		}
		if n == 0 {
			return 0
		}
		d.listing = appendDirents(d.listing, buf[:n])
	}
}

// appendDirents reads records of Linux: ino, offset, length of the record, type
// and the NUL-terminated name.
func appendDirents(list []dirent, b []byte) []dirent {
	for len(b) > 19 {
		size := int(binary.NativeEndian.Uint16(b[16:]))
		if size < 19 || size > len(b) {
			return list
		}
		name := b[19:size]
		if end := bytes.IndexByte(name, 0); end >= 0 {
			name = name[:end]
		}
		list = append(list, dirent{binary.NativeEndian.Uint64(b), fileType(uint32(b[18]) << 12), string(name)})
		b = b[size:]
	}
	return list
}
