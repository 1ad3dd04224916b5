package storage

import (
	"strings"

	"github.com/ipfs/go-cid"
)

// Ref names a file or folder: the CID of a root, and a path below it.
type Ref struct {
	CID  cid.Cid
	Path []string // names from the root down; none for the root itself
}

// ParseRef reads ipfs://CID/path, /ipfs/CID/path or CID/path. The path is taken
// as it stands, without percent decoding, so that every name can be written
// except one that holds a slash. Errors are RefErrors.
func ParseRef(s string) (Ref, error) {
	rest := s
	if after, ok := strings.CutPrefix(s, "ipfs://"); ok {
		rest = after
	} else if after, ok := strings.CutPrefix(s, "/ipfs/"); ok {
		rest = after
	} else if strings.Contains(s, "://") || strings.HasPrefix(s, "/") {
		return Ref{}, &RefError{Ref: s, Reason: "it begins neither with ipfs:// nor with /ipfs/"}
	}
	root, path, _ := strings.Cut(rest, "/")
	if root == "" {
		return Ref{}, &RefError{Ref: s, Reason: "the CID is missing"}
	}
	c, err := cid.Decode(root)
	if err != nil {
		return Ref{}, &RefError{Ref: s, Reason: "the CID is damaged (" + err.Error() + ")"}
	}
	r := Ref{CID: c}
	for name := range strings.SplitSeq(path, "/") {
		switch name {
		case "": // a slash at the end, or two of them
		case ".", "..":
			return Ref{}, &RefError{Ref: s, Reason: "its path holds " + name}
		default:
			r.Path = append(r.Path, name)
		}
	}
	return r, nil
}

// String is the form ipfs://CID/path.
func (r Ref) String() string {
	return strings.Join(append([]string{"ipfs://" + r.CID.String()}, r.Path...), "/")
}

// Name is the last part of the path, or the CID.
func (r Ref) Name() string {
	if n := len(r.Path); n > 0 {
		return r.Path[n-1]
	}
	return r.CID.String()
}
