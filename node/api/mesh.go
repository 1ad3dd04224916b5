package api

import (
	"context"
	"net/http"

	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

type callerKey struct{}

// Caller is the peer that asked, in the context of a call that came through
// Mesh. There is none in a call of the node's owner.
func Caller(ctx context.Context) (job.PeerID, bool) {
	p, ok := ctx.Value(callerKey{}).(job.PeerID)
	return p, ok
}

// Mesh answers the other peers of the swarm about the jobs whose ledgers this
// node holds (describe, list, watch, logs, cancel) and about the machines that
// wait here to be let in, and does what Neighbour says for those that examine
// themselves. It takes no submission and has no store. caller tells whose request
// it is, from what the transport has proved (a libp2p stream has a peer at its end:
// it is the request's RemoteAddr); a request for which it says false is refused. The
// backend finds the peer with Caller and decides what it may do. Errors of the node's
// own are logged, not told.
func Mesh(j Jobs, doors Joins, n Neighbour, caller func(*http.Request) (job.PeerID, bool), log *zap.Logger) http.Handler {
	r := newRoutes("Shoal node, for its peers", "What a peer may ask: about the jobs in a node's ledgers, who waits to join there, its clock and how it is reached.", log)
	r.hide, r.most = true, maxPeer
	r.none = "A peer may ask another about its jobs, who waits to join there, its clock and how it is reached: GET /v1/jobs, GET /v1/joins and what is below them, GET /v1/clock and POST /v1/reach."
	jobRoutes(r, j)
	neighbourRoutes(r, n)
	joinsRoutes(r, doors)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		peer, ok := caller(req)
		if !ok {
			writeProblem(w, newProblem(Errorf(CodeForbidden, "only peers of the swarm may ask this")))
			return
		}
		r.ServeHTTP(w, req.WithContext(context.WithValue(req.Context(), callerKey{}, peer)))
	})
}
