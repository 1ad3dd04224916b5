package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/shoal-mesh/shoal/node/api/sign"
)

// Limits on what a client takes: the node at the other end may be a peer that
// means ill.
const (
	maxReply   = 64 << 20 // bytes of a JSON answer of the node of a socket or a URL
	maxTold    = 8 << 20  // the same of a peer, of whom many are asked at a time
	maxProblem = 64 << 10 // bytes of a problem
	maxEvent   = 4 << 20  // bytes of one event
)

// continueTime is how long the node may take to say that it wants an upload; one
// that does not know how to say so is sent it then.
const continueTime = 2 * time.Second

// Client asks a node. Its methods are those of Backend; Jobs and Store it
// implements as they are. Methods are safe for concurrent use, end with their
// context and leave nothing behind: each request has a connection of its own.
//
// Errors of the node are *Error, as its backend made them. Where no node
// answers, the code is CodeUnreachable; where the context ended, the error is
// the context's.
type Client struct {
	http *http.Client
	base string // scheme and host of the URLs
	name string // the node, in messages
	bad  error  // why no request can be made
	most int    // bytes of a JSON answer

	peer   string  // the ID of the node that must answer, "" for any
	signer *signer // nil where requests need no signature
}

var (
	_ Jobs  = (*Client)(nil)
	_ Store = (*Client)(nil)
)

// NewClient makes a client for the node at addr: the path of its unix socket,
// or an http:// or https:// URL. A URL with a peer ID as its user, such as
// http://12D3…@10.0.0.7:1234, is of that node and no other: a client that signs
// finds out before it asks for anything. It connects to nothing yet; an address
// that makes no sense is told by the first request.
func NewClient(addr string) *Client {
	if strings.HasPrefix(addr, "http://") || strings.HasPrefix(addr, "https://") {
		return newURLClient(addr)
	}
	path := strings.TrimPrefix(addr, "unix://")
	return newClient(path, func(ctx context.Context) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err != nil {
			return nil, socketError(path, err)
		}
		return conn, nil
	})
}

// NewClientDial makes a client whose connections dial makes, for instance
// streams to a peer. name is what messages call the node, such as "peer XVgk2y8Q".
// It takes shorter answers than another client, as a whole swarm may be asked at a time.
func NewClientDial(name string, dial func(context.Context) (net.Conn, error)) *Client {
	c := newClient(name, func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx)
		if err != nil {
			return nil, Errorf(CodeUnreachable, "%s cannot be reached: %w. Does its node run? `node peers` lists those that answer", name, err)
		}
		return conn, nil
	})
	c.most = maxTold
	return c
}

func newURLClient(addr string) *Client {
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" {
		return &Client{bad: Errorf(CodeInvalid, "%q is no address of a node: write http://HOST:PORT or the path of its socket", addr)}
	}
	peer := u.User.String()
	if _, err := sign.ParseKey(peer); peer != "" && err != nil {
		return &Client{bad: Errorf(CodeInvalid, "what stands before the @ in the address of a node is its peer ID, and %s has something else there", u.Redacted())}
	}
	base := u.Scheme + "://" + u.Host
	c := newClient(base, nil)
	c.base, c.peer = base, peer
	c.transport().DialContext = func(ctx context.Context, network, hostPort string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, hostPort)
		if err != nil {
			return nil, Errorf(CodeUnreachable, "nobody answers at %s: %w. Is the node running there, and is the port right?", base, reason(err))
		}
		return conn, nil
	}
	return c
}

func newClient(name string, dial func(context.Context) (net.Conn, error)) *Client {
	return &Client{
		name: name,
		base: "http://node",
		most: maxReply,
		http: &http.Client{
			Transport: &http.Transport{
				DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
				DisableKeepAlives:      true,
				DisableCompression:     true,
				MaxResponseHeaderBytes: maxProblem,
				ExpectContinueTimeout:  continueTime,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (c *Client) transport() *http.Transport { return c.http.Transport.(*http.Transport) }

// socketError says what is the matter with the socket of the local node.
func socketError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTSOCK):
		return Errorf(CodeUnreachable, "no node answers at %s (%w): none runs with this home", path, reason(err))
	case errors.Is(err, fs.ErrPermission):
		return Errorf(CodeUnreachable, "the node's socket %s is not yours to open (%w): use the account that the node runs as", path, reason(err))
	}
	return Errorf(CodeUnreachable, "the node cannot be reached at %s: %w", path, reason(err))
}

// reason is the last cause of err: what the system said, without the layers
// that each repeat the address.
func reason(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// request is one question.
type request struct {
	method, path string
	query        url.Values
	body         io.Reader
	contentType  string // of body
	header       http.Header
	sum          *[sha256.Size]byte // of a body that is a stream, to sign it
}

// do sends q and gives back the response of a request that went well; its body
// is the caller's to close.
func (c *Client) do(ctx context.Context, q request) (*http.Response, error) {
	if c.bad != nil {
		return nil, c.bad
	}
	if c.signer == nil {
		return c.send(ctx, q, nil)
	}
	sum, err := q.digest()
	if err != nil {
		return nil, err
	}
	resp, err := c.send(ctx, q, sum)
	if again, ok := q.body.(io.Seeker); CodeOf(err) == CodeStaleNonce && (ok || q.body == nil) {
		// Nothing was done: the node was started anew, say. The answer brought a nonce.
		if ok {
			if _, err := again.Seek(0, io.SeekStart); err != nil {
				return nil, err
			}
		}
		resp, err = c.send(ctx, q, sum)
	}
	return resp, err
}

// send sends q once, signed if c signs, with sum the digest of its body.
func (c *Client) send(ctx context.Context, q request, sum *[sha256.Size]byte) (*http.Response, error) {
	target := c.base + q.path
	if len(q.query) > 0 {
		target += "?" + q.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, q.method, target, q.body)
	if err != nil {
		return nil, Errorf(CodeInvalid, "asking for %s: %w", q.path, err)
	}
	for k, v := range q.header {
		req.Header[k] = v
	}
	if q.contentType != "" {
		req.Header.Set("Content-Type", q.contentType)
	}
	if c.signer != nil {
		if err := c.sign(ctx, req, sum); err != nil {
			return nil, err
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		err = c.refused(ctx, resp)
	}
	if c.signer != nil {
		if CodeOf(err) == CodeStaleNonce {
			c.signer.drop()
		}
		c.signer.keep(resp.Header.Get(sign.HeaderNonce))
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// failed is what became of a request that got no answer, or half of one.
func (c *Client) failed(ctx context.Context, err error) error {
	var own *Error
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("waiting for %s: %w", c.name, ctx.Err())
	case errors.As(err, &own):
		return own
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return Errorf(CodeNotShoal, "the certificate of %s is not to be trusted: %w. Is the name right? A certificate authority of your own can be named with SSL_CERT_FILE", c.name, reason(err))
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, new(tls.RecordHeaderError)):
		return Errorf(CodeNotShoal, "%s does not speak https. A node itself speaks http:// alone; https:// takes a proxy in front of it", c.name)
	case strings.Contains(err.Error(), "malformed HTTP"): // net/http has no type for it
		return Errorf(CodeNotShoal, "%s does not speak HTTP. Is the port right? A node is asked on 1234, unless it was told otherwise; on 1235 it speaks with its peers alone", c.name)
	}
	return Errorf(CodeUnreachable, "the connection to %s broke off: %w. The node may have stopped; ask again", c.name, reason(err))
}

// refused is the problem in resp.
func (c *Client) refused(ctx context.Context, resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil {
		return c.failed(ctx, err)
	}
	if e := readProblem(body); e != nil {
		return e
	}
	return Errorf(CodeNotShoal, "%s answered %q, which is nothing that a node says. Is the address right?", c.name, resp.Status)
}

// decode reads a JSON answer into v.
func (c *Client) decode(ctx context.Context, resp *http.Response, v any) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(c.most)+1))
	switch {
	case err != nil:
		return c.failed(ctx, err)
	case len(body) > c.most:
		return Errorf(CodeTooLarge, "the answer of %s is larger than the %d bytes that are taken", c.name, c.most)
	case mediaType(resp) != typeJSON:
		return Errorf(CodeNotShoal, "%s answered with something else than JSON. Is the address right?", c.name)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return Errorf(CodeNotShoal, "%s gave an answer that cannot be read: %w. Do both run the same version?", c.name, err)
	}
	return nil
}

// mediaType is the content type of resp without its parameters.
func mediaType(resp *http.Response) string {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// ask sends in as JSON, unless it is nil, and gives back the answer as a T.
func ask[T any](ctx context.Context, c *Client, method, path string, in any) (T, error) {
	var out T
	q, err := jsonRequest(method, path, in)
	if err != nil {
		return out, err
	}
	resp, err := c.do(ctx, q)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	return out, c.decode(ctx, resp, &out)
}

// jsonRequest is a request with in as its body, in JSON, unless that is nil.
func jsonRequest(method, path string, in any) (request, error) {
	q := request{method: method, path: path}
	if in == nil {
		return q, nil
	}
	b, err := json.Marshal(in)
	if err != nil {
		return q, Errorf(CodeInvalid, "writing the request: %w", err)
	}
	q.body, q.contentType = bytes.NewReader(b), typeJSON
	return q, nil
}
