package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
)

// Add stores a tar archive with one file or folder at its top and pins it, under
// the name if it is not empty. When it fails, it may read from tar for a moment
// longer. A client that signs takes Upload in its place.
func (c *Client) Add(ctx context.Context, tar io.Reader, name string) (Added, error) {
	return c.add(ctx, request{method: http.MethodPost, path: "/v1/add", query: oneValue("name", name), contentType: typeTar}, tar)
}

func (c *Client) add(ctx context.Context, q request, tar io.Reader) (Added, error) {
	var added Added
	// As it is no type that net/http knows the length of, the body is sent in
	// chunks, whose end tells a whole archive from one cut short.
	body := &source{r: tar}
	q.body = body
	resp, err := c.do(ctx, q)
	if own := body.failure(); err != nil && own != nil {
		return added, fmt.Errorf("reading what is to be added: %w", own)
	}
	if err != nil {
		return added, err
	}
	defer resp.Body.Close()
	return added, c.decode(ctx, resp, &added)
}

// Tar writes a file or folder, named by CID[/path], as a tar archive. After an
// error, what was written is not whole.
func (c *Client) Tar(ctx context.Context, path string, w io.Writer) error {
	return c.download(ctx, path, "tar", w)
}

// Cat writes a file's bytes. After an error, what was written is not whole.
func (c *Client) Cat(ctx context.Context, path string, w io.Writer) error {
	return c.download(ctx, path, "raw", w)
}

func (c *Client) download(ctx context.Context, path, format string, w io.Writer) error {
	escaped, err := escapePath(path)
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, request{
		method: http.MethodGet, path: "/v1/ipfs/" + escaped,
		query:  url.Values{"format": {format}},
		header: http.Header{"Te": {"trailers"}},
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	in := &source{r: watched(ctx, resp)}
	if _, err := io.Copy(w, in); err != nil {
		if in.failure() == nil { // it is w that failed
			return err
		}
		return c.failed(ctx, err)
	}
	return lateProblem(resp)
}

// lateProblem is what the trailer of a body that was read says went wrong.
func lateProblem(resp *http.Response) error {
	late := resp.Trailer.Get(trailerProblem)
	if late == "" {
		return nil
	}
	if e := readProblem([]byte(late)); e != nil {
		return e
	}
	return Errorf(CodeInternal, "the node could not send all of it")
}

// oneValue is a query with one value, or none if it is empty.
func oneValue(name, value string) url.Values {
	if value == "" {
		return nil
	}
	return url.Values{name: {value}}
}

// source remembers whether it was reading that failed. Another goroutine may
// read from it.
type source struct {
	r   io.Reader
	err atomic.Pointer[error]
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err.Store(&err)
	}
	return n, err
}

// failure is the error of reading, if there was one.
func (s *source) failure() error {
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

// escapePath is CID[/path] in a URL. Parts that a URL would resolve away are
// refused.
func escapePath(path string) (string, error) {
	parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	for i, p := range parts {
		if p == "" || p == "." || p == ".." {
			return "", Errorf(CodeInvalid, "%q is no path of data in IPFS: write it as CID or CID/folder/file", path)
		}
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/"), nil
}

// Ls calls see for each entry of a folder, or once for a file.
func (c *Client) Ls(ctx context.Context, path string, see func(Entry) error) error {
	escaped, err := escapePath(path)
	if err != nil {
		return err
	}
	return getList(ctx, c, "/v1/ls/"+escaped, nil, see)
}

// Pins calls see for each pin, or for those that a CID or a name stands for.
func (c *Client) Pins(ctx context.Context, what string, see func(Pin) error) error {
	return getList(ctx, c, "/v1/pins", oneValue("what", what), see)
}

// Pin fetches all of a CID and keeps it.
func (c *Client) Pin(ctx context.Context, r PinRequest) (Pin, error) {
	if see := ProgressOf(ctx); see != nil {
		return c.pinWatched(ctx, r, see)
	}
	return ask[Pin](ctx, c, http.MethodPost, "/v1/pins", r)
}

// Unpin keeps a CID no longer, given by itself or by the name of its pin.
func (c *Client) Unpin(ctx context.Context, what string) (Pin, error) {
	return ask[Pin](ctx, c, http.MethodDelete, "/v1/pins/"+url.PathEscape(what), nil)
}

// Collect removes what nothing keeps, or, if dry, counts it.
func (c *Client) Collect(ctx context.Context, dry bool) (Collected, error) {
	return ask[Collected](ctx, c, http.MethodPost, "/v1/gc", CollectRequest{DryRun: dry})
}

// Status is what the node is about now.
func (c *Client) Status(ctx context.Context) (NodeStatus, error) {
	return ask[NodeStatus](ctx, c, http.MethodGet, "/v1/status", nil)
}
