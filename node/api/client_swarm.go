package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// ID is who the node is.
func (c *Client) ID(ctx context.Context) (ID, error) {
	return ask[ID](ctx, c, http.MethodGet, "/v1/id", nil)
}

// Peers is the node's roster of live peers.
func (c *Client) Peers(ctx context.Context) ([]Peer, error) {
	return ask[[]Peer](ctx, c, http.MethodGet, "/v1/peers", nil)
}

// Token makes a token with which a machine can join for the time given; 0 is
// the default of an hour.
func (c *Client) Token(ctx context.Context, ttl time.Duration) (Token, error) {
	return ask[Token](ctx, c, http.MethodPost, "/v1/tokens", TokenRequest{TTL: job.Duration(ttl)})
}

// Join sends a joiner's handshake message and gives back the answer, which is
// empty if nobody has let it in yet.
func (c *Client) Join(ctx context.Context, msg []byte) ([]byte, error) {
	resp, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/join", body: bytes.NewReader(msg), contentType: typeOctets})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, c.failed(ctx, err)
	case len(answer) > maxAnswer:
		return nil, Errorf(CodeTooLarge, "the answer of %s is larger than the %d bytes that are taken", c.name, maxAnswer)
	}
	return answer, nil
}

// Healthy is nil if the node answers at all.
func (c *Client) Healthy(ctx context.Context) error {
	_, err := ask[Health](ctx, c, http.MethodGet, "/healthz", nil)
	return err
}

// Ready is nil if the node can take a job; CodeUnavailable if it cannot yet.
func (c *Client) Ready(ctx context.Context) error {
	_, err := ask[Health](ctx, c, http.MethodGet, "/readyz", nil)
	return err
}
