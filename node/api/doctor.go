package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Status is how one thing stands that doctor looked at.
type Status string

// The states of a Check.
const (
	OK      Status = "ok"
	Warning Status = "warning" // it works, and may not go on to, or not for everybody
	Problem Status = "problem" // it does not work
)

// Check is one thing that doctor looked at.
type Check struct {
	Name    string `json:"name" doc:"What was looked at, such as clock or disk. Names never change their meaning."`
	About   string `json:"about,omitempty" doc:"Which one, where there are several: a peer, an address, a file."`
	Status  Status `json:"status" enum:"ok,warning,problem"`
	Message string `json:"message" doc:"What was found."`
	Next    string `json:"next,omitempty" doc:"What to do about it."`
}

// Report is what doctor found, in the order in which one would look.
type Report struct {
	Checks []Check `json:"checks"`
}

// Worst is the worst status in the report.
func (r Report) Worst() Status {
	worst := OK
	for _, c := range r.Checks {
		if c.Status == Problem || c.Status == Warning && worst == OK {
			worst = c.Status
		}
	}
	return worst
}

// Doctor has the node examine itself and its peers, which takes some seconds at
// most.
func (c *Client) Doctor(ctx context.Context) (Report, error) {
	return ask[Report](ctx, c, http.MethodGet, "/v1/doctor", nil)
}

func doctorRoute(r *routes, b Swarm) {
	route(r, huma.Operation{
		OperationID: "doctor", Method: http.MethodGet, Path: "/v1/doctor",
		Summary: "What the node finds when it examines itself and its peers",
	}, func(ctx context.Context, _ *nothing) (*reply[Report], error) {
		report := b.Doctor(ctx)
		report.Checks = list(report.Checks)
		return &reply[Report]{report}, ctx.Err()
	})
}

// Neighbour is what a node does for another peer that examines itself.
type Neighbour interface {
	// Now is the node's wall clock.
	Now() time.Time
	// Reach tries whether the caller can be reached where its connections come
	// from, and nowhere else.
	Reach(ctx context.Context, caller job.PeerID, r ReachRequest) (Reach, error)
}

// Clock is a node's wall clock.
type Clock struct {
	Now time.Time `json:"now"`
}

// ReachRequest asks for a Reach.
type ReachRequest struct {
	API int `json:"api,omitempty" minimum:"0" maximum:"65535" doc:"TCP port of the caller's HTTP API; 0 if it is not to be tried."`
}

// Reach is where a peer can be reached.
type Reach struct {
	Peers []Reached `json:"peers" doc:"The addresses that it announces for peers, of those IPs that its connections come from."`
	API   []Reached `json:"api" doc:"Its HTTP API at these IPs."`
}

// Reached is what came of trying one address.
type Reached struct {
	Addr  string `json:"addr"`
	Error string `json:"error,omitempty" doc:"Why not, in a sentence; empty if somebody answers there who is the one."`
}

// Clock is the wall clock of the node, which is another peer.
func (c *Client) Clock(ctx context.Context) (time.Time, error) {
	clock, err := ask[Clock](ctx, c, http.MethodGet, "/v1/clock", nil)
	return clock.Now, err
}

// Reach asks the node, which is another peer, whether it can reach the caller.
func (c *Client) Reach(ctx context.Context, r ReachRequest) (Reach, error) {
	return ask[Reach](ctx, c, http.MethodPost, "/v1/reach", r)
}

func neighbourRoutes(r *routes, n Neighbour) {
	route(r, huma.Operation{
		OperationID: "clock", Method: http.MethodGet, Path: "/v1/clock",
		Summary: "What time the node takes it to be",
	}, func(context.Context, *nothing) (*reply[Clock], error) {
		return &reply[Clock]{Clock{n.Now()}}, nil
	})
	type request struct{ Body ReachRequest }
	route(r, huma.Operation{
		OperationID: "reach", Method: http.MethodPost, Path: "/v1/reach",
		Summary: "Whether the node can reach the caller where its connections come from",
	}, func(ctx context.Context, in *request) (*reply[Reach], error) {
		caller, ok := Caller(ctx)
		if !ok {
			return nil, Errorf(CodeForbidden, "only a peer can be reached")
		}
		reach, err := n.Reach(ctx, caller, in.Body)
		if err != nil {
			return nil, err
		}
		reach.Peers, reach.API = list(reach.Peers), list(reach.API)
		return &reply[Reach]{reach}, nil
	})
}
