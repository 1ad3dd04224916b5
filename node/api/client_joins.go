package api

import (
	"context"
	"net/http"
	"net/url"
)

// Waiting lists the machines that wait at any peer to be let in with a code.
func (c *Client) Waiting(ctx context.Context) (JoinList, error) {
	return ask[JoinList](ctx, c, http.MethodGet, "/v1/joins", nil)
}

// Approve lets in the machine that shows the code. CodeTokenMalformed: it is
// mistyped; CodeNotFound: none waits with it; CodeTokenExpired and CodeConflict:
// its time is over, or it was used.
func (c *Client) Approve(ctx context.Context, code string) (Approved, error) {
	return ask[Approved](ctx, c, http.MethodPost, "/v1/joins", Approval{Code: code})
}

// Requests asks a peer for the machines that wait there (see Joins).
func (c *Client) Requests(ctx context.Context) ([]JoinRequest, error) {
	return ask[[]JoinRequest](ctx, c, http.MethodGet, "/v1/joins", nil)
}

// Answer hands an answer to a machine that waits at a peer (see Joins).
func (c *Client) Answer(ctx context.Context, id string, a JoinAnswer) (JoinRequest, error) {
	return ask[JoinRequest](ctx, c, http.MethodPost, "/v1/joins/"+url.PathEscape(id), a)
}
