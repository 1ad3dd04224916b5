package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"
)

// heartbeat is how often a silent event stream says that it is alive. It is
// less than the half minute after which middle boxes forget a connection.
const heartbeat = 15 * time.Second

// Content types.
const (
	typeJSON   = "application/json"
	typeEvents = "text/event-stream"
	typeTar    = "application/x-tar"
	typeOctets = "application/octet-stream"
)

// routes is a handler in the making, and the handler once it is made.
type routes struct {
	api  huma.API
	mux  *http.ServeMux
	log  *zap.Logger
	beat time.Duration // between the heartbeats of event streams
	body time.Duration // for a whole request body that is not a stream
	most int64         // bytes of such a body, where the operation says nothing else
	hide bool          // keep the text of internal errors from callers, and log it instead
	none string        // what a caller of an unknown path is told beside that
}

func newRoutes(title, description string, log *zap.Logger) *routes {
	mux := http.NewServeMux()
	return &routes{mux: mux, log: log, beat: heartbeat, body: bodyTime, most: maxJSON, api: humago.New(mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI:    "3.1.0",
			Info:       &huma.Info{Title: title, Description: description, Version: "1"},
			Components: &huma.Components{Schemas: newRegistry("#/components/schemas/")},
		},
		Formats:                      map[string]huma.Format{typeJSON: huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                typeJSON,
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{fromHuma},
	})}
}

// reply is a response with a JSON body.
type reply[T any] struct{ Body T }

// nothing is a request or response without content.
type nothing struct{}

// route adds an operation. Requests with a body are read whole, within limits,
// before the handler runs; stream is for those that must not be.
func route[I, O any](r *routes, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	if op.Method != http.MethodGet && op.Method != http.MethodDelete {
		limit := op.MaxBodyBytes
		if limit == 0 {
			limit = r.most
		}
		op.Middlewares = append(op.Middlewares, r.readWhole(limit))
		// huma counts a body of exactly the limit as too large.
		op.MaxBodyBytes = limit + 1
	}
	stream(r, op, handle)
}

// stream adds an operation whose request body is left to the handler.
func stream[I, O any](r *routes, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	// huma would set a deadline for reading the body and never take it back:
	// it would end the context of a handler that takes longer.
	op.BodyReadTimeout = -1
	huma.Register(r.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, r.problem(ctx, err)
		}
		return out, nil
	})
}

// problem is what a caller is told of err. Of what a node did not come to
// because it stops, nothing is told: the connection breaks, and the caller knows
// that this node went away, and not what it was asked about.
func (r *routes) problem(ctx context.Context, err error) *problem {
	e := asError(err)
	if stopping(ctx) && newProblem(e).Status >= http.StatusInternalServerError {
		panic(http.ErrAbortHandler)
	}
	if r.hide && e.Code == CodeInternal {
		r.log.Error("could not answer a request", zap.Error(err))
		e.Message = "the node failed to do this; its log says why"
	}
	return newProblem(e)
}

// serveOpenAPI adds the description of everything that was added before it.
func (r *routes) serveOpenAPI() {
	r.mux.HandleFunc("GET /v1/openapi.json", func(w http.ResponseWriter, req *http.Request) {
		doc, err := r.openAPI()
		if err != nil {
			writeProblem(w, r.problem(req.Context(), err))
			return
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(doc)
	})
}

func (r *routes) openAPI() ([]byte, error) {
	doc := *r.api.OpenAPI()
	doc.Paths = map[string]*huma.PathItem{}
	for path, item := range r.api.OpenAPI().Paths {
		// OpenAPI does not know wildcards of more than one segment.
		doc.Paths[strings.ReplaceAll(path, "...}", "}")] = item
	}
	out, err := json.Marshal(&doc)
	if err != nil {
		return nil, fmt.Errorf("writing the description of the API: %w", err)
	}
	return out, nil
}

// ServeHTTP answers what has no route with a problem too.
func (r *routes) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.ContentLength != 0 {
		bodyDeadline(w, r.body)
	}
	h, pattern := r.mux.Handler(req)
	if pattern != "" {
		r.mux.ServeHTTP(w, req)
		return
	}
	probe := probe{header: http.Header{}}
	h.ServeHTTP(&probe, req)
	p := newProblem(Errorf(CodeNotFound, "there is nothing at %s. %s", printable(req.URL.Path), r.none))
	if probe.status == http.StatusMethodNotAllowed {
		allow := probe.header.Get("Allow")
		w.Header().Set("Allow", allow)
		p = newProblem(Errorf(CodeInvalid, "%s does not take %s, only %s", req.URL.Path, req.Method, allow)).as(probe.status)
	}
	writeProblem(w, p)
}

// probe finds out how the mux would refuse a request.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(status int)      { p.status = status }
