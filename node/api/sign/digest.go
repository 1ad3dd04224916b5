package sign

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"

	"github.com/dunglas/httpsfv"
)

const digestName = "sha-256"

// ErrBody is the error of reading, to its end, a body that is not the one that
// was signed.
var ErrBody = errors.New("the request's body is not the one that was signed: it was changed on the way, or while it was read")

// digest is the SHA-256 that a body must have.
type digest [sha256.Size]byte

// readDigest is what r says of its body. A body must have a digest; where there
// is none, the digest must be that of nothing.
func readDigest(r *http.Request) (*digest, error) {
	values := r.Header.Values(headerDigest)
	if len(values) == 0 {
		if r.ContentLength != 0 {
			return nil, fmt.Errorf("the request has a body and no %s", headerDigest)
		}
		return nil, nil
	}
	label, m, err := only(r, headerDigest)
	if err != nil {
		return nil, err
	}
	item, ok := m.(httpsfv.Item)
	if !ok {
		return nil, fmt.Errorf("the header %s has no bytes", headerDigest)
	}
	sum, ok := item.Value.([]byte)
	if !ok || label != digestName || len(sum) != sha256.Size {
		return nil, fmt.Errorf("the header %s is not of %s", headerDigest, digestName)
	}
	d := digest(sum)
	if r.ContentLength == 0 && d != sha256.Sum256(nil) {
		return nil, ErrBody
	}
	return &d, nil
}

// Body is the request's body, whose reader gets ErrBody in place of io.EOF if
// the whole is not what was signed. Whoever does not read to the end knows
// nothing of it.
func (s *Signature) Body(body io.ReadCloser) io.ReadCloser {
	if s.digest == nil {
		return body
	}
	return &checked{body, *s.digest, sha256.New()}
}

// checked compares a body with its digest.
type checked struct {
	io.ReadCloser
	want digest
	hash hash.Hash
}

func (c *checked) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.hash.Write(b[:n])
	if err == io.EOF && subtle.ConstantTimeCompare(c.hash.Sum(nil), c.want[:]) != 1 {
		err = ErrBody
	}
	return n, err
}
