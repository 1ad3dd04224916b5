package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// JoinHold is how long a node holds the question of a machine that waits to be
// let in with a code, before it answers that nobody has yet: less than the half
// minute after which middle boxes forget a connection.
const JoinHold = 20 * time.Second

// JoinState says what became of a machine that asked to join with a code.
type JoinState string

// The states. Only a machine that waits can be let in.
const (
	JoinWaiting JoinState = "waiting"
	JoinUsed    JoinState = "used"    // it was let in
	JoinExpired JoinState = "expired" // it waited for longer than a code is good
	JoinGone    JoinState = "gone"    // it asks no more
)

// JoinRequest is a machine that asked to join with a code.
type JoinRequest struct {
	ID      string        `json:"id" doc:"Names the request; tells nothing about the code."`
	Address string        `json:"address" doc:"The IP and port that it asked from."`
	Age     time.Duration `json:"age_ns" doc:"Time since it first asked, in nanoseconds."`
	State   JoinState     `json:"state" enum:"waiting,used,expired,gone"`
	At      job.PeerID    `json:"at,omitempty" doc:"The peer that it asked."`
	Joiner  job.PeerID    `json:"joiner,omitempty" doc:"Who it is, once it was let in."`
	Message []byte        `json:"message,omitempty" doc:"Its handshake message, which whoever has the code can answer. Peers alone see it."`
}

// JoinAnswer lets in the machine that made a request.
type JoinAnswer struct {
	Joiner  job.PeerID `json:"joiner" doc:"Who made the request, as only who has the code can read."`
	Message []byte     `json:"message" minLength:"1" doc:"The handshake's second message."`
}

// Joins answers for the machines that wait at this node to be let in with a
// code. It is what other peers may ask.
type Joins interface {
	// Requests lists them, those of the last minutes that wait no more too.
	Requests(ctx context.Context) ([]JoinRequest, error)
	// Answer hands the answer to the machine that made the request, and says what
	// became of it. A second one is CodeConflict: a code is used once.
	Answer(ctx context.Context, id string, a JoinAnswer) (JoinRequest, error)
}

// JoinList is the answer to who waits.
type JoinList struct {
	Requests []JoinRequest `json:"requests"`
	Silent   []job.PeerID  `json:"silent" doc:"Live peers that did not answer in time: who waits there is not in the list."`
}

// Approval asks to let in the machine that shows a code.
type Approval struct {
	Code string `json:"code" minLength:"1" maxLength:"64" doc:"What the joining machine shows."`
}

// Approved is a machine that was let in.
type Approved struct {
	Joiner  job.PeerID `json:"joiner" doc:"Its peer ID."`
	Address string     `json:"address" doc:"The IP and port that it asked from."`
	At      job.PeerID `json:"at" doc:"The peer that it asked."`
}

// approveRoutes are for the node's owner: who waits anywhere in the swarm, and
// letting one in.
func approveRoutes(r *routes, b Swarm) {
	route(r, huma.Operation{
		OperationID: "list-joins", Method: http.MethodGet, Path: "/v1/joins",
		Summary: "The machines that wait at any peer to be let in with a code",
	}, func(ctx context.Context, _ *nothing) (*reply[JoinList], error) {
		l, err := b.Waiting(ctx)
		if err != nil {
			return nil, err
		}
		l.Requests, l.Silent = list(l.Requests), list(l.Silent)
		return &reply[JoinList]{l}, nil
	})
	type request struct{ Body Approval }
	route(r, huma.Operation{
		OperationID: "approve-join", Method: http.MethodPost, Path: "/v1/joins",
		Summary: "Let in the machine that shows a code, at whichever peer it waits",
	}, func(ctx context.Context, in *request) (*reply[Approved], error) {
		a, err := b.Approve(ctx, in.Body.Code)
		if err != nil {
			return nil, err
		}
		return &reply[Approved]{a}, nil
	})
}

// joinsRoutes are for the other peers of the swarm.
func joinsRoutes(r *routes, j Joins) {
	route(r, huma.Operation{
		OperationID: "list-own-joins", Method: http.MethodGet, Path: "/v1/joins",
		Summary: "The machines that wait at this node to be let in with a code",
	}, func(ctx context.Context, _ *nothing) (*reply[[]JoinRequest], error) {
		l, err := j.Requests(ctx)
		if err != nil {
			return nil, err
		}
		return &reply[[]JoinRequest]{list(l)}, nil
	})
	type answer struct {
		ID   string `path:"id" maxLength:"64"`
		Body JoinAnswer
	}
	route(r, huma.Operation{
		OperationID: "answer-join", Method: http.MethodPost, Path: "/v1/joins/{id}",
		Summary: "Hand the answer of who has the code to a machine that waits here",
	}, func(ctx context.Context, in *answer) (*reply[JoinRequest], error) {
		q, err := j.Answer(ctx, in.ID, in.Body)
		if err != nil {
			return nil, err
		}
		return &reply[JoinRequest]{q}, nil
	})
}
