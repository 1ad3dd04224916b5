package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/node/api/sign"
)

// Allowed says who may ask a node over TCP: nil lets the owner of a key in. Its
// error tells the caller why not; it is an *Error, or the node's own fault. It is
// asked for each request, so that a key that is taken off the list is out at once.
type Allowed func(sign.Key) error

type signerKey struct{}

// Signer is the key that signed the request, in the context of a call that came
// over TCP. There is none in a call over the node's own socket.
func Signer(ctx context.Context) (sign.Key, bool) {
	k, ok := ctx.Value(signerKey{}).(sign.Key)
	return k, ok
}

// secret are the routes whose questions or answers let a machine into the swarm:
// whoever reads them on the way can do the same.
var secret = map[string]bool{
	"POST /v1/joins":  true,
	"POST /v1/tokens": true,
}

var errInTheClear = Errorf(CodeForbidden, "whoever reads this on the way could get into the swarm, and the connection is not known to be private: "+
	"ask at the node itself, through an SSH tunnel, or through a proxy on its machine that speaks https")

// signed lets the clients in whose keys are allowed, to the whole API.
type signed struct {
	open    *routes // for everybody
	clients *routes
	node    string // the peer ID for which requests are signed
	allowed Allowed
	nonces  *sign.Nonces
	refused *throttle
	log     *zap.Logger
}

func (s *signed) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, open := s.open.mux.Handler(req)
	_, known := s.clients.mux.Handler(req)
	if open != "" || known == "" {
		s.open.ServeHTTP(w, req) // which also says that there is nothing
		return
	}
	signature, err := s.admit(req)
	// With what the caller can go on, whether it was let in or not.
	w.Header().Set(sign.HeaderNonce, s.nonces.New())
	if err == nil && secret[known] && !onThisMachine(req) {
		err = errInTheClear
	}
	if err != nil {
		s.refuse(w, req, err)
		return
	}
	if req.Method != http.MethodGet {
		s.log.Info("a client asks", zap.Stringer("client", signature.Key), zap.String("from", req.RemoteAddr), zap.String("what", req.Method+" "+req.URL.Path))
	}
	req = req.WithContext(context.WithValue(req.Context(), signerKey{}, signature.Key))
	req.Body = signature.Body(req.Body)
	s.clients.ServeHTTP(w, req)
}

// admit finds out whether a request comes from a client that is allowed, and for
// the first time. What costs least comes first, and no body is read.
func (s *signed) admit(req *http.Request) (*sign.Signature, error) {
	signature, err := sign.Read(req)
	switch {
	case errors.Is(err, sign.ErrUnsigned):
		return nil, Errorf(CodeUnauthorized, "%s %s needs a request that is signed with a key that this node lists: ask with --node, "+
			"or at the node's machine without. GET /v1/id, POST /v1/join, GET /healthz and GET /readyz are for everybody", req.Method, printable(req.URL.Path))
	case err != nil:
		return nil, Errorf(CodeUnauthorized, "%w", err)
	}
	if err := s.nonces.Check(signature.Nonce); err != nil {
		return nil, Errorf(CodeStaleNonce, "%w: sign again with the one in this answer's header %s", err, sign.HeaderNonce)
	}
	if signature.Node != s.node {
		return nil, Errorf(CodeUnauthorized, "the request was signed for the node %s, and this is %s", printable(signature.Node), s.node)
	}
	if err := s.allowed(signature.Key); err != nil {
		return nil, err
	}
	if err := signature.Verify(); err != nil {
		return nil, Errorf(CodeUnauthorized, "%w: the request was changed on the way, or key %s did not sign it", err, signature.Key)
	}
	switch err := s.nonces.Use(signature.Key, signature.Nonce); {
	case errors.Is(err, sign.ErrBusy):
		e := Errorf(CodeRateLimited, "%w", err)
		e.RetryAfter = time.Second
		return nil, e
	case err != nil:
		return nil, Errorf(CodeStaleNonce, "%w: sign again with the one in this answer's header %s", err, sign.HeaderNonce)
	}
	return signature, nil
}

// refuse tells why. Whoever is refused time and again is told to wait, and no
// longer written into the log; a client that may ask is let in all the same, as
// it may share its address with whoever is not.
func (s *signed) refuse(w http.ResponseWriter, req *http.Request, err error) {
	bodyDeadline(w, s.clients.body) // which net/http reads a part of before it answers
	if d := s.refused.wait(req.RemoteAddr, time.Now()); d > 0 {
		e := Errorf(CodeRateLimited, "too many requests were refused; try again in %s", max(time.Second, d.Round(time.Second)))
		if CodeOf(err) != CodeInternal { // which is nobody else's business
			e.Message += ". The last one was refused because: " + err.Error()
		}
		e.RetryAfter = d
		err = e
	}
	switch code := CodeOf(err); code {
	case CodeStaleNonce, CodeRateLimited, CodeInternal: // the last is logged below
	default:
		s.log.Info("a request was refused", zap.String("from", req.RemoteAddr), zap.String("code", string(code)), zap.String("why", err.Error()))
	}
	p := s.open.problem(req.Context(), err)
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Signature realm="shoal"`)
	}
	writeProblem(w, p)
}

// onThisMachine reports whether what is told to the caller stays on this machine,
// at least until it is somebody else's to protect: a proxy's, or a tunnel's.
func onThisMachine(req *http.Request) bool {
	at, ok := req.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	from, err := netip.ParseAddrPort(req.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return false
	}
	to, err := netip.ParseAddrPort(at.String())
	return err == nil && to.Addr().Unmap().IsLoopback()
}

// nonceRoute gives a client what it needs to sign its first request.
func nonceRoute(r *routes, node string, nonces *sign.Nonces) {
	type answer struct {
		CacheControl string `header:"Cache-Control"`
		Body         Nonce
	}
	route(r, huma.Operation{
		OperationID: "nonce", Method: http.MethodGet, Path: "/v1/nonce", Security: forEverybody,
		Summary: "What a client needs to sign its first request",
	}, func(context.Context, *nothing) (*answer, error) {
		return &answer{"no-store", Nonce{Node: node, Nonce: nonces.New()}}, nil
	})
}

// forEverybody marks an operation that needs no signature.
var forEverybody = []map[string][]string{}

// describeSigning says in the description of the API how requests are signed.
func describeSigning(r *routes) {
	const scheme = "signature"
	doc := r.api.OpenAPI()
	doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{scheme: {
		Type: "apiKey", In: "header", Name: "Signature",
		Description: "Needed over TCP, and not on the socket in the node's home. An HTTP Message Signature (RFC 9421) of alg ed25519 and tag shoal by a key that the node lists in its file authorized_keys. " +
			"It covers @method, @path, @query, shoal-node (the header Shoal-Node with the peer ID of the node that is asked), and, where the request has them, content-digest and content-type. " +
			"A request with a body needs Content-Digest (RFC 9530) with sha-256 alone. keyid is the client's key in the form of a peer ID. nonce comes from GET /v1/nonce, and after that from " +
			"the header Shoal-Nonce of each answer; each is good once, for two minutes. An answer with the code stale_nonce means: sign again, with the nonce that it brings.",
	}}
	doc.Security = []map[string][]string{{scheme: {}}}
}
