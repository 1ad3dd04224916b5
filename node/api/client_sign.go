package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/shoal-mesh/shoal/node/api/sign"
)

// maxNonces are kept at most: as many as a command has requests under way.
const maxNonces = 4

// Signed is c with every request signed with key, for a node that is reached
// over TCP. It asks the node for a nonce once; every answer brings the next.
func (c *Client) Signed(key ed25519.PrivateKey) *Client {
	s := *c
	s.signer = &signer{key: key, node: c.peer}
	return &s
}

// signer signs the requests of a client.
type signer struct {
	key ed25519.PrivateKey

	mu     sync.Mutex
	node   string // who it is that must answer; "" before the first answer
	nonces []held // the latest last
}

// held is a nonce with the time when it came.
type held struct {
	nonce string
	came  time.Time
}

// keep takes the nonce that an answer brought, "" for none.
func (s *signer) keep(nonce string) {
	if nonce == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nonces = append(s.nonces, held{nonce, time.Now()}); len(s.nonces) > maxNonces {
		s.nonces = s.nonces[1:]
	}
}

// take is a nonce that the node still knows, and the node; "" if there is none.
func (s *signer) take() (node, nonce string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.nonces) == 0 {
		return "", ""
	}
	last := s.nonces[len(s.nonces)-1]
	s.nonces = s.nonces[:len(s.nonces)-1]
	if time.Since(last.came) >= sign.Fresh {
		s.nonces = nil // the others are older
		return "", ""
	}
	return s.node, last.nonce
}

// drop forgets the nonces: the node that made them is another by now.
func (s *signer) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nonces = nil
}

// met notes which node answers. That it is another than before is an error: what
// was meant for one is not asked of the other.
func (s *signer) met(node, at string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.node != "" && s.node != node {
		return Errorf(CodeNotShoal, "the node at %s is %s, and %s is meant. Is the address right?", at, printable(node), s.node)
	}
	s.node = node
	return nil
}

// inTheClear reports whether others may read what goes between c and its node.
func (c *Client) inTheClear() bool {
	u, err := url.Parse(c.base)
	if err != nil || u.Scheme == "https" {
		return err != nil
	}
	return u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback()
}

// sign signs req, whose body has the digest sum, if any. What must not be read on
// the way is not even asked for: a question may be as secret as its answer.
func (c *Client) sign(ctx context.Context, req *http.Request, sum *[sha256.Size]byte) error {
	if secret[req.Method+" "+req.URL.Path] && c.inTheClear() {
		return errInTheClear
	}
	if sum != nil {
		if err := sign.SetDigest(req, *sum); err != nil {
			return err
		}
	}
	node, nonce := c.signer.take()
	if nonce == "" {
		fresh, err := c.unsigned().fetchNonce(ctx)
		if err != nil {
			return err
		}
		if err := c.signer.met(fresh.Node, c.name); err != nil {
			return err
		}
		node, nonce = fresh.Node, fresh.Nonce
	}
	return sign.Request(req, c.signer.key, node, nonce)
}

// unsigned is c for what everybody may ask.
func (c *Client) unsigned() *Client {
	u := *c
	u.signer = nil
	return &u
}

func (c *Client) fetchNonce(ctx context.Context) (Nonce, error) {
	n, err := ask[Nonce](ctx, c, http.MethodGet, "/v1/nonce", nil)
	switch {
	case CodeOf(err) == CodeNotFound:
		return n, Errorf(CodeNotShoal, "%s takes no signed requests. Is it the HTTP API of a node, of this version?", c.name)
	case err == nil && (n.Node == "" || n.Nonce == ""):
		return n, Errorf(CodeNotShoal, "%s gave an answer that cannot be read. Is it the HTTP API of a node?", c.name)
	}
	return n, err
}

// digest is that of q's body, which stays readable from its start; nil if it has
// none.
func (q *request) digest() (*[sha256.Size]byte, error) {
	switch body := q.body.(type) {
	case nil:
		return nil, nil
	case *bytes.Reader:
		b, err := io.ReadAll(body)
		if err != nil {
			return nil, err
		}
		q.body = bytes.NewReader(b)
		sum := sha256.Sum256(b)
		return &sum, nil
	}
	if q.sum == nil {
		return nil, Errorf(CodeInvalid, "a body that can be read but once cannot be signed: use Upload")
	}
	return q.sum, nil
}

// Upload stores the archive that write writes, as Add does. To sign it, its
// digest must be known before its first byte is sent: write is then called twice,
// and must write the same both times.
func (c *Client) Upload(ctx context.Context, name string, write func(io.Writer) error) (Added, error) {
	q := request{method: http.MethodPost, path: "/v1/add", query: oneValue("name", name), contentType: typeTar}
	if c.signer != nil {
		h := sha256.New()
		if err := write(contextWriter{ctx, h}); err != nil {
			return Added{}, err
		}
		sum := [sha256.Size]byte(h.Sum(nil))
		q.sum = &sum
		c.signer.drop() // a refused upload is not sent again
		// The body follows once the node has let the request in.
		q.header = http.Header{"Expect": {"100-continue"}}
	}
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(w)
		w.CloseWithError(err)
		written <- err
	}()
	added, err := c.add(ctx, q, r)
	r.CloseWithError(io.ErrClosedPipe) // the archive ends, whatever became of the request
	if own := <-written; own != nil && !errors.Is(own, io.ErrClosedPipe) {
		return added, own // it says more than that the body broke off
	}
	return added, err
}

// contextWriter ends what is written to it with its context.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c contextWriter) Write(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(b)
}
