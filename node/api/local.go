package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/node/api/sign"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

const (
	retryReady = time.Second // what a caller of /readyz is told to wait
	defaultTTL = time.Hour   // of a token
	maxTTL     = 30 * 24 * time.Hour
)

// Local answers everything that a node can be asked. Whoever can call it is
// the node's owner: serve it on a socket that nobody else can open.
func Local(b Backend, log *zap.Logger) http.Handler { return local(b, log) }

func local(b Backend, log *zap.Logger) *routes {
	r := newRoutes("Shoal node", "What a node can be asked over the unix socket in its home, and over TCP with requests that are signed. "+
		"Machines that sign nothing reach /v1/id, /v1/nonce, /v1/join, /healthz and /readyz alone, over TCP.", log)
	r.none = "GET /v1/openapi.json lists what there is."
	describeSigning(r)
	submitRoute(r, b)
	jobRoutes(r, b)
	storeRoutes(r, b)
	idRoutes(r, b)
	joinRoute(r, b)
	ownerRoutes(r, b)
	doctorRoute(r, b)
	labelRoutes(r, b)
	approveRoutes(r, b)
	statusRoute(r, b)
	r.serveOpenAPI()
	return r
}

// Public answers everybody over TCP: who this node is, whether it is up, and the
// handshake with which machines join, at a bounded rate. Clients whose keys are
// allowed reach everything else that Local answers, with requests that they sign
// (see package sign). Errors of the node's own are logged, and not told to
// strangers.
func Public(b Backend, allowed Allowed, log *zap.Logger) http.Handler {
	node := b.ID(context.Background()).Peer
	s := &signed{
		open: public(b, log), clients: local(b, log), node: node,
		allowed: allowed, nonces: sign.NewNonces(), refused: newThrottleEach(), log: log,
	}
	nonceRoute(s.open, node, s.nonces)
	nonceRoute(s.clients, node, s.nonces) // for its description alone
	return s
}

// public has what everybody may ask.
func public(b Swarm, log *zap.Logger) *routes {
	r := newRoutes("Shoal node, for everybody", "What a machine that is not in the swarm may ask.", log)
	r.hide = true
	r.none = "This port answers GET /v1/id, POST /v1/join, GET /healthz and GET /readyz to everybody, and the rest of the API to clients whose key the node lists."
	idRoutes(r, b)
	joinRoute(r, b, newThrottle().middleware)
	return r
}

// idRoutes are who the node is and whether it is up.
func idRoutes(r *routes, b Swarm) {
	route(r, huma.Operation{
		OperationID: "id", Method: http.MethodGet, Path: "/v1/id", Security: forEverybody,
		Summary: "Who the node is and where it listens",
	}, func(ctx context.Context, _ *nothing) (*reply[ID], error) {
		id := b.ID(ctx)
		id.Addrs = list(id.Addrs)
		return &reply[ID]{id}, nil
	})
	route(r, huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Security: forEverybody,
		Summary: "200 while the node answers at all",
	}, func(context.Context, *nothing) (*reply[Health], error) {
		return &reply[Health]{Health{"up"}}, nil
	})
	route(r, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Security: forEverybody,
		Summary: "200 once the node can take a job, 503 before",
	}, func(context.Context, *nothing) (*reply[Health], error) {
		if !b.Ready() {
			e := Errorf(CodeUnavailable, "the node is up but cannot take a job yet; ask again shortly")
			e.RetryAfter = retryReady
			return nil, e
		}
		return &reply[Health]{Health{"ready"}}, nil
	})
}

// bytesReply is a response of plain bytes.
type bytesReply struct {
	Status      int
	ContentType string `header:"Content-Type"`
	Body        []byte
}

// joinMessage is a joiner's handshake message, and where it came from.
type joinMessage struct {
	RawBody []byte
	remote  string
}

func (m *joinMessage) Resolve(ctx huma.Context) []error {
	m.remote = ctx.RemoteAddr()
	return nil
}

// joinRoute is the handshake; the message is the backend's to understand.
func joinRoute(r *routes, b Swarm, before ...func(huma.Context, func(huma.Context))) {
	route(r, huma.Operation{
		OperationID: "join", Method: http.MethodPost, Path: "/v1/join", Security: forEverybody,
		Summary:      "One handshake, with a token or a code as its secret, after which the caller can join the swarm",
		MaxBodyBytes: maxJoin, Middlewares: before,
		Description: "202 and nothing says that nobody has let the caller in with its code yet, and that it is to send the same message again.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The member's handshake message.",
			Content:     binary(typeOctets),
		}},
	}, func(ctx context.Context, in *joinMessage) (*bytesReply, error) {
		// The request's buffer is used again once this returns.
		answer, err := b.Join(ctx, in.remote, append([]byte(nil), in.RawBody...))
		switch {
		case err != nil:
			return nil, err
		case len(answer) == 0:
			return &bytesReply{http.StatusAccepted, typeOctets, nil}, nil
		}
		return &bytesReply{http.StatusOK, typeOctets, answer}, nil
	})
}

// ownerRoutes are what only the node's owner may ask of the swarm.
func ownerRoutes(r *routes, b Swarm) {
	route(r, huma.Operation{
		OperationID: "list-peers", Method: http.MethodGet, Path: "/v1/peers",
		Summary: "The live peers, as this node's roster has them",
	}, func(ctx context.Context, _ *nothing) (*reply[[]Peer], error) {
		return &reply[[]Peer]{list(b.Peers(ctx))}, nil
	})
	type request struct{ Body TokenRequest }
	route(r, huma.Operation{
		OperationID: "create-token", Method: http.MethodPost, Path: "/v1/tokens",
		Summary: "A token that admits machines to the swarm until it expires", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *request) (*reply[Token], error) {
		ttl := time.Duration(in.Body.TTL)
		if ttl == 0 {
			ttl = defaultTTL
		}
		if ttl > maxTTL {
			return nil, Errorf(CodeInvalid, "a token is good for %v at most, and %v is more: a token that leaks lets in everybody until it expires", job.Duration(maxTTL), in.Body.TTL)
		}
		t, err := b.Token(ctx, ttl)
		if err != nil {
			return nil, err
		}
		return &reply[Token]{t}, nil
	})
}

// list is v, never nil: in JSON a list that is empty is [], not null.
func list[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}
