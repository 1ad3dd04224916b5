package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	pin "github.com/ipfs/boxo/pinning/pinner"
	"github.com/ipfs/go-cid"
)

// PinInfo is a root that is kept.
type PinInfo struct {
	CID  string
	Name string // of the file or folder that it was stored from, if it was
}

// Pin fetches all of what ref names and keeps it until Unpin. See Fetch for
// errors.
func (s *Store) Pin(ctx context.Context, ref string) (Stat, error) {
	r, err := ParseRef(ref)
	if err != nil {
		return Stat{}, err
	}
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return Stat{}, err
	}
	defer end()
	unlock := s.kubo.blocks.PinLock(ctx)
	defer unlock.Unlock(ctx)
	held := s.claims.begin()
	defer held.keep()
	nd, err, _ := s.load(ctx, r, held, fetching{}, nil)
	if err != nil {
		return Stat{}, err
	}
	st, _, err := statNode(nd)
	if err != nil {
		return Stat{}, fmt.Errorf("pinning %s: %w", r, err)
	}
	name := ""
	if len(r.Path) > 0 {
		name = r.Name()
	}
	return st, s.keep(ctx, nd.Cid(), name)
}

// keep pins a root whose blocks are all on this disk, and has it announced.
func (s *Store) keep(ctx context.Context, c cid.Cid, name string) error {
	// With the mode given, the pinner does not read all the blocks once more.
	if err := s.kubo.pins.PinWithMode(ctx, c, pin.Recursive, name); err != nil {
		return fmt.Errorf("pinning %s: %w", c, s.ended(ctx, err))
	}
	if err := s.kubo.pins.Flush(ctx); err != nil {
		return fmt.Errorf("pinning %s: %w", c, s.ended(ctx, err))
	}
	if !s.news.push(c) {
		s.log.Debug("too many new roots to announce them one by one: the next round has this one") // see Run
	}
	return nil
}

// mayBePinned reports whether a root is kept, or that cannot be told.
func (s *Store) mayBePinned(ctx context.Context, c cid.Cid) bool {
	_, pinned, err := s.kubo.pins.IsPinnedWithType(ctx, c, pin.Recursive)
	return pinned || err != nil
}

// Unpin no longer keeps a root. If it was not pinned, that is ErrNotPinned.
func (s *Store) Unpin(ctx context.Context, ref string) error {
	r, err := ParseRef(ref)
	if err != nil {
		return err
	}
	if len(r.Path) > 0 {
		return &RefError{Ref: ref, Reason: "only a root is pinned, not what is below it"}
	}
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	err = s.kubo.pins.Unpin(ctx, r.CID, true)
	if errors.Is(err, pin.ErrNotPinned) {
		return fmt.Errorf("%s is %w", r, ErrNotPinned)
	}
	if err == nil {
		err = s.kubo.pins.Flush(ctx)
	}
	if err != nil {
		return fmt.Errorf("unpinning %s: %w", r, s.ended(ctx, err))
	}
	return nil
}

// Pins lists what is kept, in the order of names.
func (s *Store) Pins(ctx context.Context) ([]PinInfo, error) {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	pins := []PinInfo{}
	err = s.eachPin(ctx, true, func(p pin.Pinned) error {
		pins = append(pins, PinInfo{CID: p.Key.String(), Name: p.Name})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing pins: %w", s.ended(ctx, err))
	}
	slices.SortFunc(pins, func(a, b PinInfo) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.CID, b.CID))
	})
	return pins, nil
}

// eachPin calls see for every root that is kept.
func (s *Store) eachPin(ctx context.Context, names bool, see func(pin.Pinned) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the sender if see fails
	for p := range s.kubo.pins.RecursiveKeys(ctx, names) {
		if p.Err != nil {
			return p.Err
		}
		if err := see(p.Pin); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Stat describes what ref names, asking peers for its root if it is not here.
// See Fetch for errors.
func (s *Store) Stat(ctx context.Context, ref string) (Stat, error) {
	r, err := ParseRef(ref)
	if err != nil {
		return Stat{}, err
	}
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return Stat{}, err
	}
	defer end()
	held := s.claims.begin()
	defer held.keep()
	l := s.newLoader(ctx, r, held, fetching{})
	defer l.stop()
	nd, err := find(l.ctx, l, r)
	if err != nil {
		return Stat{}, l.explain(err)
	}
	st, _, err := statNode(nd)
	return st, err
}
