package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

func jobURL(id string) string { return "/v1/jobs/" + url.PathEscape(id) }

// Submit runs a job. It is safe to call again with the same nonce.
func (c *Client) Submit(ctx context.Context, s Submission) (Receipt, error) {
	return ask[Receipt](ctx, c, http.MethodPost, "/v1/jobs", s)
}

// Job finds a job by a unique prefix of its ID.
func (c *Client) Job(ctx context.Context, id string) (job.Job, error) {
	return ask[job.Job](ctx, c, http.MethodGet, jobURL(id), nil)
}

// List is all jobs that the node knows of.
func (c *Client) List(ctx context.Context) (JobList, error) {
	return ask[JobList](ctx, c, http.MethodGet, "/v1/jobs", nil)
}

// Cancel ends a job.
func (c *Client) Cancel(ctx context.Context, id string) (job.Job, error) {
	return ask[job.Job](ctx, c, http.MethodPost, jobURL(id)+"/cancel", nil)
}

// Watch calls see with the job as it is now and after each change, until it has
// ended. An error of see ends it and is returned as it is. It does not connect
// again when the connection breaks; calling it again is enough.
func (c *Client) Watch(ctx context.Context, id string, see func(job.Job) error) error {
	return follow(ctx, c, jobURL(id)+"/watch", nil, see)
}

// Logs calls see with pieces of the job's output. An error of see ends it and is
// returned as it is. It does not connect again when the connection breaks; the
// caller does, with the offsets after the last piece that it saw.
func (c *Client) Logs(ctx context.Context, id string, o LogOptions, see func(LogChunk) error) error {
	q := url.Values{}
	if o.Follow {
		q.Set("follow", "true")
	}
	if o.Attempt != 0 {
		q.Set("attempt", strconv.Itoa(o.Attempt))
	}
	if o.Stdout != 0 {
		q.Set("stdout", strconv.FormatInt(o.Stdout, 10))
	}
	if o.Stderr != 0 {
		q.Set("stderr", strconv.FormatInt(o.Stderr, 10))
	}
	return follow(ctx, c, jobURL(id)+"/logs", q, see)
}

// follow reads server-sent events until the one that ends the stream.
func follow[T any](ctx context.Context, c *Client, path string, query url.Values, see func(T) error) error {
	return followRequest(ctx, c, request{method: http.MethodGet, path: path, query: query}, see)
}

func followRequest[T any](ctx context.Context, c *Client, q request, see func(T) error) error {
	q.header = http.Header{"Accept": {typeEvents}}
	resp, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	var name string
	var data []byte
	for lines.Scan() {
		field, value, _ := bytes.Cut(lines.Bytes(), []byte(": "))
		switch {
		case len(lines.Bytes()) == 0: // the event is complete
			ended, err := takeEvent(c, name, data, see)
			if ended || err != nil {
				return err
			}
			name, data = "", nil
		case string(field) == "event":
			name = string(value)
		case string(field) == "data":
			data = bytes.Clone(value)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return Errorf(CodeTooLarge, "%s sent an event larger than the %d bytes that are taken", c.name, maxEvent)
	} else if err != nil {
		return c.failed(ctx, err)
	}
	return Errorf(CodeUnreachable, "%s ended its answer before the end. The node may have stopped; ask again", c.name)
}

// takeEvent acts on one event and says whether it is the last.
func takeEvent[T any](c *Client, name string, data []byte, see func(T) error) (ended bool, err error) {
	switch name {
	case eventEnd:
		return true, nil
	case eventProblem:
		if e := readProblem(data); e != nil {
			return true, e
		}
		return true, Errorf(CodeNotShoal, "%s broke off its answer for a reason that cannot be read", c.name)
	}
	if name != "" || data == nil { // a comment, or an event of a later version
		return false, nil
	}
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return true, Errorf(CodeNotShoal, "%s sent an event that cannot be read: %w. Do both run the same version?", c.name, err)
	}
	return false, see(v)
}
