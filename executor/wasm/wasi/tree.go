package wasi

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// node is a folder of the virtual tree above the mounts, or a mount.
//
//	/            node
//	├── inputs   node
//	│   ├── log  mount (a file: base is set)
//	│   └── set  mount (a folder)
//	└── outputs  mount (a folder)
type node struct {
	parent   *node // nil at the top
	children map[string]*node
	ino      uint64
	mount    *mount // nil in a folder of the tree itself
}

type mount struct {
	root  *os.Root // the folder, or the one that holds the file
	base  string   // name of the file in root; empty for a folder
	write bool
}

// BadMountPoint says that the guest's side of the mounts makes no sense: whoever
// chose the paths is to blame.
type BadMountPoint struct{ Reason string }

func (e BadMountPoint) Error() string { return e.Reason }

// plant builds the tree and opens the mounts.
func (s *System) plant(mounts []Mount) (*node, error) {
	top := &node{ino: 1}
	last := top.ino
	for _, m := range mounts {
		if !path.IsAbs(m.Guest) || path.Clean(m.Guest) != m.Guest || strings.ContainsRune(m.Guest, 0) {
			return nil, BadMountPoint{fmt.Sprintf("mount point %q is no clean absolute path", m.Guest)}
		}
		n := top
		for name := range strings.SplitSeq(strings.Trim(m.Guest, "/"), "/") {
			if n.mount != nil {
				return nil, BadMountPoint{fmt.Sprintf("mount point %s lies inside another mount", m.Guest)}
			}
			if name == "" {
				continue
			}
			child := n.children[name]
			if child == nil {
				last++
				child = &node{parent: n, ino: last}
				if n.children == nil {
					n.children = map[string]*node{}
				}
				n.children[name] = child
			}
			n = child
		}
		if n.mount != nil || n.children != nil {
			return nil, BadMountPoint{fmt.Sprintf("mount point %s is used twice, or lies above another", m.Guest)}
		}
		opened, err := s.openMount(m)
		if err != nil {
			return nil, fmt.Errorf("mount %s: %w", m.Guest, err)
		}
		n.mount = opened
	}
	return top, nil
}

// openMount opens the host's side. What is shown must be a file or a folder
// itself: a symbolic link would be followed to wherever whoever made it wants.
func (s *System) openMount(m Mount) (*mount, error) {
	top, sub := m.Host, m.Sub
	if sub == "" {
		fi, err := os.Lstat(top)
		if err != nil {
			return nil, err
		}
		if sub = "."; !fi.IsDir() {
			top, sub = filepath.Split(filepath.Clean(top))
			top = cmp.Or(top, ".")
		}
	}
	root, err := openTop(top)
	if err != nil {
		return nil, err
	}
	opened := &mount{root: root, write: m.Write}
	if err := opened.descend(sub); err != nil {
		opened.root.Close()
		return nil, err
	}
	s.mounts = append(s.mounts, opened)
	return opened, nil
}

// openTop opens a folder that is no link.
func openTop(path string) (*os.Root, error) {
	was, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	if now, err := root.Stat("."); err != nil || !os.SameFile(was, now) {
		root.Close()
		return nil, errors.New("a symbolic link, or changed while it was opened")
	}
	return root, nil
}

// descend moves a mount's root to sub, a folder or a file in it.
func (m *mount) descend(sub string) error {
	fi, err := m.root.Lstat(sub)
	switch {
	case err != nil:
		return err
	case fi.Mode().IsRegular():
		sub, m.base = filepath.Split(sub)
		sub = cmp.Or(sub, ".")
	case !fi.IsDir():
		return errors.New("neither a file nor a folder")
	}
	if sub == "." {
		return nil
	}
	below, err := m.root.OpenRoot(sub)
	if err != nil {
		return err
	}
	m.root.Close()
	m.root = below
	return nil
}

// Reach is a mount as it was opened, for rules about what this process may
// still reach: wherever its path leads by now, these rules are about that file
// or folder.
type Reach struct {
	File  *os.File // to be named only, not to be read
	Dir   bool     // with all that is below
	Write bool
}

// Reaches are the mounts. The caller closes the files.
func (s *System) Reaches() (all []Reach, err error) {
	defer func() {
		if err != nil {
			for _, r := range all {
				r.File.Close()
			}
		}
	}()
	for _, m := range s.mounts {
		r := Reach{Dir: m.base == "", Write: m.write}
		if r.File, err = m.root.OpenFile(cmp.Or(m.base, "."), unix.O_PATH, 0); err != nil {
			return all, err
		}
		all = append(all, r)
		fi, err := r.File.Stat()
		if err != nil {
			return all, err
		}
		if fi.IsDir() != r.Dir || !r.Dir && !fi.Mode().IsRegular() {
			return all, errors.New("a mount changed while it was opened")
		}
	}
	return all, nil
}

// place is what a path of the program leads to. With root set it is name below
// root; otherwise it is a folder of the virtual tree, or, with missing set, a
// name in one that is not there.
type place struct {
	mount *mount
	root  *os.Root
	name  string
	point bool // name is the mount itself

	node    *node
	missing string
}

// find follows path from descriptor fd as far as the virtual tree goes; below a
// mount it leaves the rest to os.Root.
func (s *System) find(fd uint32, p string) (place, Errno) {
	d, e := s.fd(fd)
	switch {
	case e != 0:
		return place{}, e
	case d.kind != fileDirectory:
		return place{}, enotdir
	case p == "":
		return place{}, enoent
	case len(p) >= 4096:
		return place{}, enametoolong
	case strings.ContainsRune(p, 0):
		return place{}, einval
	case p[0] == '/':
		return place{}, eperm
	case d.node == nil:
		return place{mount: d.mount, root: d.root, name: p, point: d.top && isSelf(p)}, 0
	}
	return walk(d.node, p)
}

// isSelf reports whether p names the folder that it is relative to.
func isSelf(p string) bool { return path.Clean(p) == "." }

func walk(start *node, p string) (place, Errno) {
	at := start
	for rest := p; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch name {
		case "", ".":
			continue
		case "..":
			if at == start {
				return place{}, eperm
			}
			at = at.parent
			continue
		}
		child := at.children[name]
		switch {
		case child == nil && strings.Trim(rest, "/") != "":
			return place{}, enoent
		case child == nil:
			return place{node: at, missing: name}, 0
		case child.mount == nil:
			at = child
			continue
		}
		if up, after := climbs(rest); up {
			rest = after
			continue
		}
		return child.mount.place(rest)
	}
	return place{node: at}, 0
}

// climbs reports whether p goes above where it starts, and what follows once it
// is one level above. It counts names, which is right as long as no symbolic
// link is among them; where it is wrong the path ends elsewhere in the tree,
// never outside.
func climbs(p string) (bool, string) {
	depth := 0
	for rest := p; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch name {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true, rest
			}
		default:
			depth++
		}
	}
	return false, ""
}

// place is rest below the mount.
func (m *mount) place(rest string) (place, Errno) {
	rest = strings.TrimLeft(rest, "/")
	self := rest == "" || isSelf(rest)
	if m.base == "" {
		if rest == "" {
			rest = "."
		}
		return place{mount: m, root: m.root, name: rest, point: self}, 0
	}
	if !self {
		return place{}, enotdir
	}
	return place{mount: m, root: m.root, name: m.base, point: true}, 0
}

// names lists the children, sorted.
func (n *node) names() []string {
	list := make([]string, 0, len(n.children))
	for name := range n.children {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func (n *node) kind() byte {
	if n.mount != nil && n.mount.base != "" {
		return fileRegular
	}
	return fileDirectory
}

// parentPath is the folder and the last name of p. slash says that p ended in
// one, so that the name must be a folder. The name may be "." or "..".
func parentPath(p string) (dir, base string, slash bool) {
	trimmed := strings.TrimRight(p, "/")
	dir, base = path.Split(trimmed)
	if dir == "" {
		dir = "."
	}
	return dir, base, trimmed != p
}

// parent opens the folder that holds p, without reading rights, for the calls
// that change its entries: these take one name and do not follow it.
func (p place) parent() (*os.File, string, Errno) {
	dir, base, slash := parentPath(p.name)
	if base == "." || base == ".." || base == "" {
		return nil, "", einval
	}
	f, err := p.root.OpenFile(dir, openPath, 0)
	if err != nil {
		return nil, "", errnoOf(err)
	}
	if slash {
		base += "/"
	}
	return f, base, 0
}

// change says why p may not be changed: it is part of the tree, a mount, or in
// a read-only one.
func (p place) change() Errno {
	switch {
	case p.root == nil && p.missing != "":
		return erofs
	case p.root == nil, p.point:
		return ebusy
	case !p.mount.write:
		return erofs
	}
	return 0
}
