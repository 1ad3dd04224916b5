package storage

import (
	"context"

	"github.com/ipfs/go-datastore"
	flatfs "github.com/ipfs/go-ds-flatfs"
)

// blockFiles is where the blocks lie: flatfs, whose batches gather their blocks
// in a folder of their own. The blockstore forgets a batch that fails; on a disk
// that is full, what such batches have gathered would stay until the next start
// and keep it full.
//
// It also holds the store to its room: see room.
type blockFiles struct {
	*flatfs.Datastore
	room *room
}

func (d blockFiles) Put(ctx context.Context, key datastore.Key, value []byte) error {
	if err := d.room.check(int64(len(value))); err != nil {
		return err
	}
	return d.Datastore.Put(ctx, key, value)
}

func (d blockFiles) Batch(ctx context.Context) (datastore.Batch, error) {
	b, err := d.Datastore.Batch(ctx)
	if err != nil {
		return nil, err
	}
	return &tidyBatch{Batch: b, room: d.room}, nil
}

// tidyBatch throws away what it has gathered when it fails.
type tidyBatch struct {
	datastore.Batch
	room *room
	size int64 // of what it has gathered
}

func (b *tidyBatch) Put(ctx context.Context, key datastore.Key, value []byte) error {
	b.size += int64(len(value))
	err := b.room.check(b.size)
	if err == nil {
		err = b.Batch.Put(ctx, key, value)
	}
	return b.tidy(ctx, err)
}

func (b *tidyBatch) Commit(ctx context.Context) error {
	return b.tidy(ctx, b.Batch.Commit(ctx))
}

func (b *tidyBatch) tidy(ctx context.Context, err error) error {
	if d, ok := b.Batch.(flatfs.DiscardableBatch); ok && err != nil {
		// It waits for the writes under way, and logs what it could not remove.
		d.Discard(context.WithoutCancel(ctx))
	}
	return err
}
