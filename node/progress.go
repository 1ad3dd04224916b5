package node

import (
	"context"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/storage"
)

// watched has the store tell whoever asked over the API how far it is.
func watched(ctx context.Context) context.Context {
	see := api.ProgressOf(ctx)
	if see == nil {
		return ctx
	}
	return storage.WithProgress(ctx, func(p storage.Progress) { see(api.Progress{Total: p.Total, Done: p.Done}) })
}
