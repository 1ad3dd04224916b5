package node

import (
	"context"
	"io"
	"time"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
	"github.com/shoal-mesh/shoal/storage"
)

// What the API is asked about the store.

func (b *backend) Add(ctx context.Context, tar io.Reader, name string) (api.Added, error) {
	s, err := b.store.Add(ctx, tar, name)
	return api.Added{CID: s.CID, Size: job.Bytes(s.Size)}, apiError(err)
}

func (b *backend) Tar(ctx context.Context, path string, w io.Writer) error {
	return apiError(b.store.Tar(watched(ctx), path, w))
}

func (b *backend) Cat(ctx context.Context, path string, w io.Writer) error {
	return apiError(b.store.Cat(watched(ctx), path, w))
}

func (b *backend) Ls(ctx context.Context, path string, see func(api.Entry) error) error {
	return apiError(b.store.Ls(ctx, path, func(e storage.Entry) error {
		return see(api.Entry{Name: e.Name, Kind: string(e.Kind), Size: job.Bytes(e.Size), CID: e.CID})
	}))
}

func apiPin(p storage.PinInfo) api.Pin {
	return api.Pin{CID: p.CID, Name: p.Name, By: string(p.By), Since: p.Since, Size: job.Bytes(p.Size)}
}

func (b *backend) Pins(ctx context.Context, what string, see func(api.Pin) error) error {
	return apiError(b.store.Pins(ctx, what, func(p storage.PinInfo) error { return see(apiPin(p)) }))
}

func (b *backend) Pin(ctx context.Context, r api.PinRequest) (api.Pin, error) {
	p, err := b.store.Pin(watched(ctx), r.CID, r.Name)
	return apiPin(p), apiError(err)
}

func (b *backend) Unpin(ctx context.Context, what string) (api.Pin, error) {
	p, err := b.store.Unpin(ctx, what)
	return apiPin(p), apiError(err)
}

func (b *backend) Collect(ctx context.Context, dry bool) (api.Collected, error) {
	c, err := b.store.Collect(ctx, dry)
	return api.Collected{Blocks: c.Blocks, Bytes: job.Bytes(c.Bytes), KeptBlocks: c.Kept, KeptBytes: job.Bytes(c.KeptBytes)}, apiError(err)
}

func (b *backend) Status(ctx context.Context) (api.NodeStatus, error) {
	u, err := b.store.Usage(ctx)
	if err != nil {
		return api.NodeStatus{}, apiError(err)
	}
	return api.NodeStatus{
		ID: b.ID(ctx), API: b.api.String(), Uptime: time.Since(b.begun), Engine: b.engine.Engine(),
		Peers: len(b.mesh.Roster().Others()), Running: b.own.runner.Running(),
		Storage: api.StoreUsage{Used: job.Bytes(u.Used), Limit: job.Bytes(u.Limit), Free: job.Bytes(u.Free), Pins: u.Pins, Pinned: job.Bytes(u.Pinned)},
	}, nil
}
