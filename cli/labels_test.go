package cli

import (
	"context"
	"maps"
	"slices"

	"github.com/shoal-mesh/shoal/node/api"
)

func (f *fakeNode) Labels(context.Context) ([]api.Label, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []api.Label{{Key: "os", Value: "linux", From: api.LabelAutomatic}, {Key: "site", Value: "attic", From: api.LabelFlag}}
	for _, k := range slices.Sorted(maps.Keys(f.labels)) {
		out = append(out, api.Label{Key: k, Value: f.labels[k], From: api.LabelSet})
	}
	return out, nil
}

func (f *fakeNode) ChangeLabels(ctx context.Context, c api.LabelChange) ([]api.Label, error) {
	if c.Set["os"] != "" {
		return nil, api.Errorf(api.CodeInvalid, "the node sets the label os itself: choose another key")
	}
	f.mu.Lock()
	if f.labels == nil {
		f.labels = map[string]string{}
	}
	maps.Copy(f.labels, c.Set)
	for _, k := range c.Remove {
		delete(f.labels, k)
	}
	f.mu.Unlock()
	return f.Labels(ctx)
}
