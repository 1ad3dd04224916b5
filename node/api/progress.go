package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Progress is how far a fetch is, in bytes.
type Progress struct {
	Total int64 `json:"total" doc:"How much it is in all; of a folder with what its blocks add. 0 if unknown."`
	Done  int64 `json:"done" doc:"How much of it is here."`
}

// PinEvent is a step of a pin under way, or, with Pin, its end.
type PinEvent struct {
	Progress
	Pin *Pin `json:"pin,omitempty" doc:"What is pinned now: the last event."`
}

type progressKey struct{}

// WithProgress has see called by a Pin, Tar or Cat with the context, of a Client
// or of a Backend, several times a second. It is called by one goroutine at a
// time, at first before anything is written, and not after the call has returned.
func WithProgress(ctx context.Context, see func(Progress)) context.Context {
	return context.WithValue(ctx, progressKey{}, see)
}

// ProgressOf is what WithProgress put into the context, nil if nothing.
func ProgressOf(ctx context.Context) func(Progress) {
	see, _ := ctx.Value(progressKey{}).(func(Progress))
	return see
}

// headerSize says in an answer with content how many bytes it is of. It is no
// Content-Length: the body may be an archive of it, and may break off.
const headerSize = "Shoal-Size"

// pinRequest asks for a pin, and how to answer.
type pinRequest struct {
	Accept string `header:"Accept" doc:"With text/event-stream the answer is a stream of events that say how far it is."`
	Body   PinRequest
}

// pinRoute adds the operation that fetches and pins.
func pinRoute(r *routes, b Store) {
	schema := func(v any) *huma.MediaType {
		return &huma.MediaType{Schema: r.api.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(v), true, "")}
	}
	route(r, huma.Operation{
		OperationID: "pin", Method: http.MethodPost, Path: "/v1/pins",
		Summary: "Fetch all of a CID and keep it",
		Description: `With "Accept: text/event-stream", server-sent events say how far it is; the last of them has the pin. ` +
			`Event "end" closes the stream, event "problem" breaks it off with a problem in its data.`,
		Responses: map[string]*huma.Response{"200": {Description: "It is pinned.", Content: map[string]*huma.MediaType{
			typeJSON: schema(Pin{}), typeEvents: schema(PinEvent{}),
		}}},
	}, func(ctx context.Context, in *pinRequest) (*huma.StreamResponse, error) {
		if !strings.Contains(in.Accept, typeEvents) {
			pin, err := b.Pin(ctx, in.Body)
			if err != nil {
				return nil, err
			}
			return &huma.StreamResponse{Body: func(hc huma.Context) {
				hc.SetHeader("Content-Type", typeJSON)
				_ = json.NewEncoder(hc.BodyWriter()).Encode(pin)
			}}, nil
		}
		return sendEvents(r, func(ctx context.Context, send func(PinEvent) error) error { return pinEvents(ctx, b, in.Body, send) }), nil
	})
}

func pinEvents(ctx context.Context, b Store, what PinRequest, send func(PinEvent) error) error {
	var latest Progress
	pin, err := b.Pin(WithProgress(ctx, func(p Progress) {
		latest = p
		_ = send(PinEvent{Progress: p}) // a caller that is gone ends ctx
	}), what)
	if err != nil {
		return err
	}
	return send(PinEvent{latest, &pin})
}

// pinWatched is Pin that hears how far it is.
func (c *Client) pinWatched(ctx context.Context, r PinRequest, see func(Progress)) (Pin, error) {
	var pin *Pin
	q, err := jsonRequest(http.MethodPost, "/v1/pins", r)
	if err != nil {
		return Pin{}, err
	}
	err = followRequest(ctx, c, q, func(e PinEvent) error {
		see(e.Progress)
		if e.Pin != nil {
			pin = e.Pin
		}
		return nil
	})
	if err == nil && pin == nil {
		err = Errorf(CodeNotShoal, "%s did not say what it has pinned. Do both run the same version?", c.name)
	}
	if err != nil {
		return Pin{}, err
	}
	return *pin, nil
}

// watched is a body whose bytes are counted as they come.
func watched(ctx context.Context, resp *http.Response) io.Reader {
	see := ProgressOf(ctx)
	if see == nil {
		return resp.Body
	}
	size, err := strconv.ParseInt(resp.Header.Get(headerSize), 10, 64)
	if err != nil || size < 0 {
		size = 0
	}
	c := &countedBody{r: resp.Body, see: see, p: Progress{Total: size}}
	see(c.p)
	return c
}

type countedBody struct {
	r   io.Reader
	see func(Progress)
	p   Progress
}

func (c *countedBody) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.p.Done += int64(n)
	if c.p.Total > 0 { // an archive is a little more than what is in it
		c.p.Done = min(c.p.Done, c.p.Total)
	}
	c.see(c.p)
	return n, err
}
