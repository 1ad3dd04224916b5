package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Labels are what the node says of itself to its peers, and what selectors in
// jobs go by.
type Labels interface {
	Labels(ctx context.Context) ([]Label, error)
	// ChangeLabels does all of a change or, with an error, none of it. When it
	// returns, the change is on disk and on its way to every peer.
	ChangeLabels(ctx context.Context, c LabelChange) ([]Label, error)
}

// Where a label comes from.
const (
	LabelAutomatic = "automatic" // the node sets it, from what it is and offers
	LabelFlag      = "flag"      // --label or the configuration; it wins over one that was set
	LabelSet       = "set"       // `node labels set`; it is kept across restarts
)

// Label is one label of the node.
type Label struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from" enum:"automatic,flag,set" doc:"Where it comes from."`
}

// LabelChange is a change of the labels that were set.
type LabelChange struct {
	Set    map[string]string `json:"set,omitempty" maxProperties:"64" doc:"Labels to set, in Kubernetes' grammar."`
	Remove []string          `json:"remove,omitempty" maxItems:"64" doc:"Keys of labels to remove."`
}

// labelRoutes are for the node's owner alone.
func labelRoutes(r *routes, b Labels) {
	route(r, huma.Operation{
		OperationID: "list-labels", Method: http.MethodGet, Path: "/v1/labels",
		Summary: "What this node says of itself",
	}, func(ctx context.Context, _ *nothing) (*reply[[]Label], error) {
		return labelsReply(b.Labels(ctx))
	})
	type request struct{ Body LabelChange }
	route(r, huma.Operation{
		OperationID: "change-labels", Method: http.MethodPatch, Path: "/v1/labels",
		Summary:     "Set and remove labels",
		Description: "All of the change is made, or none. Peers are told at once, and the labels outlive a restart.",
	}, func(ctx context.Context, in *request) (*reply[[]Label], error) {
		return labelsReply(b.ChangeLabels(ctx, in.Body))
	})
}

func labelsReply(l []Label, err error) (*reply[[]Label], error) {
	if err != nil {
		return nil, err
	}
	return &reply[[]Label]{list(l)}, nil
}

// Labels are the node's labels, by key.
func (c *Client) Labels(ctx context.Context) ([]Label, error) {
	return ask[[]Label](ctx, c, http.MethodGet, "/v1/labels", nil)
}

// ChangeLabels changes the labels that were set, and gives back all there are.
func (c *Client) ChangeLabels(ctx context.Context, change LabelChange) ([]Label, error) {
	return ask[[]Label](ctx, c, http.MethodPatch, "/v1/labels", change)
}
