package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"
)

// Names of the events that are not values.
const (
	eventEnd     = "end"     // nothing follows
	eventProblem = "problem" // something went wrong; nothing follows
)

// events adds an operation that answers with values of type E as server-sent
// events. run sends them and blocks; its context ends with the caller.
func events[I, E any](r *routes, op huma.Operation, run func(ctx context.Context, in *I, send func(E) error) error) {
	schema := r.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[E](), true, "")
	op.Responses = map[string]*huma.Response{"200": {
		Description: `Server-sent events. The data of an event without a name is JSON as described here; event "end" closes the stream, ` +
			`event "problem" breaks it off with a problem in its data. Comments keep it alive.`,
		Content: map[string]*huma.MediaType{typeEvents: {Schema: schema}},
	}}
	stream(r, op, func(_ context.Context, in *I) (*huma.StreamResponse, error) {
		return sendEvents(r, func(ctx context.Context, send func(E) error) error { return run(ctx, in, send) }), nil
	})
}

// sendEvents is an answer with the values that run sends.
func sendEvents[E any](r *routes, run func(ctx context.Context, send func(E) error) error) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		req, w := humago.Unwrap(hc)
		s := &eventWriter{w: w, control: http.NewResponseController(w)}
		r.serveEvents(req.Context(), s, func(ctx context.Context) error {
			return run(ctx, func(v E) error {
				data, err := json.Marshal(v)
				if err != nil {
					return fmt.Errorf("writing an event: %w", err)
				}
				return s.event("", data)
			})
		})
	}}
}

// serveEvents runs run, which writes to s, with heartbeats between, and ends
// the stream as its result demands.
func (r *routes) serveEvents(ctx context.Context, s *eventWriter, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var beating sync.WaitGroup
	beating.Go(func() {
		defer cancel() // a caller that takes no heartbeat is gone
		s.beat(ctx, r.beat)
	})
	err := run(ctx)
	cancel()
	beating.Wait()

	switch {
	case s.lost != nil:
		r.log.Debug("a reader of a stream went away", zap.Error(s.lost))
	case err == nil:
		_ = s.event(eventEnd, []byte("{}"))
	case !s.open:
		writeProblem(s.w, r.problem(ctx, err))
	default:
		if data, jsonErr := json.Marshal(r.problem(ctx, err)); jsonErr == nil {
			_ = s.event(eventProblem, data)
		}
	}
}

// eventWriter writes server-sent events and flushes each. The response begins
// with the first, so that an error before it can still be a proper response.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController

	mu   sync.Mutex // the heartbeat writes too
	open bool
	lost error // why nothing reaches the reader any more
}

// beat writes comments until ctx ends or one cannot be written.
func (s *eventWriter) beat(ctx context.Context, every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if s.write([]byte(":\n\n")) != nil {
				return
			}
		}
	}
}

// event writes one event; data has no line break, as JSON has none.
func (s *eventWriter) event(name string, data []byte) error {
	var b bytes.Buffer
	if name != "" {
		fmt.Fprintf(&b, "event: %s\n", name)
	}
	fmt.Fprintf(&b, "data: %s\n\n", data)
	return s.write(b.Bytes())
}

func (s *eventWriter) write(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		s.open = true
		s.w.Header().Set("Content-Type", typeEvents)
		s.w.Header().Set("Cache-Control", "no-store")
	}
	_, err := s.w.Write(b)
	if err == nil {
		err = s.control.Flush()
	}
	if err != nil {
		s.lost = fmt.Errorf("sending an event: %w", err)
	}
	return s.lost
}
