package storage

import (
	"context"
	"fmt"
)

// Usage is how full a store is, in bytes.
type Usage struct {
	Used  int64 // by blocks and what is said of pins, as large as the files are
	Limit int64 // that Used may reach
	Free  int64 // on the disk
	Pins  int   // roots that are kept
	// Pinned is the sum of their sizes. Blocks that several of them share count
	// for each: telling them apart would mean to read all of them.
	Pinned int64
}

// Usage measures the store. It looks at every pin.
func (s *Store) Usage(ctx context.Context) (Usage, error) {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return Usage{}, err
	}
	defer end()
	room := s.repo.room
	u := Usage{Used: room.used(), Limit: room.limit()}
	if u.Free, _, err = room.disk(); err != nil {
		return u, err
	}
	err = s.eachPin(ctx, "", func(p PinInfo) error {
		u.Pins, u.Pinned = u.Pins+1, u.Pinned+p.Size
		return nil
	})
	if err != nil {
		return u, fmt.Errorf("measuring the store: %w", s.ended(ctx, err))
	}
	return u, nil
}
