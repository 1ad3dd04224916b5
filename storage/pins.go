package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	ipld "github.com/ipfs/go-ipld-format"
)

// Pin fetches all of what ref names and keeps it until Unpin, under a name if
// one is given. What is kept already gets the name, and is at no moment not
// kept. See Fetch for errors; a name that cannot be is a NameError.
func (s *Store) Pin(ctx context.Context, ref, name string) (PinInfo, error) {
	r, err := ParseRef(ref)
	if err != nil {
		return PinInfo{}, err
	}
	if err := checkPinName(name); err != nil {
		return PinInfo{}, err
	}
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return PinInfo{}, err
	}
	defer end()
	held := s.claims.begin()
	defer held.keep()
	nd, err, _ := s.load(ctx, r, held, fetching{}, nil)
	if err != nil {
		return PinInfo{}, err
	}
	if _, _, err := statNode(nd); err != nil {
		return PinInfo{}, fmt.Errorf("pinning %s: %w", r, err)
	}
	given := name != ""
	if !given && len(r.Path) > 0 {
		name = nameFrom(r.Name())
	}
	return s.keep(ctx, nd, PinInfo{Name: name, By: User}, given)
}

// keep pins a root whose blocks are all on this disk, and has it announced. The
// caller claims these blocks until keep has returned: from then on a collector
// finds the root.
func (s *Store) keep(ctx context.Context, nd ipld.Node, p PinInfo, named bool) (PinInfo, error) {
	p.Since, p.Size = time.Now().UTC().Truncate(time.Second), sizeOf(nd)
	p, err := s.roots.put(ctx, nd.Cid(), p, named)
	if err != nil {
		return PinInfo{}, fmt.Errorf("pinning %s: %w", nd.Cid(), s.ended(ctx, err))
	}
	if !s.news.push(nd.Cid()) {
		s.log.Debug("too many new roots to announce them one by one: the next round has this one") // see Run
	}
	return p, nil
}

// sizeOf is the size of all blocks of a tree, as its root claims.
func sizeOf(nd ipld.Node) int64 {
	size, err := nd.Size()
	if err != nil {
		return int64(len(nd.RawData()))
	}
	return clamp(size)
}

// mayBePinned reports whether a root is kept, or that cannot be told.
func (s *Store) mayBePinned(ctx context.Context, c cid.Cid) bool {
	pinned, err := s.roots.has(ctx, c)
	return pinned || err != nil
}

// Unpin no longer keeps a root, given by its CID or by its name where no other
// pin has that, and returns which it was. If there is none, that is
// ErrNotPinned; if several have the name, an AmbiguousError.
func (s *Store) Unpin(ctx context.Context, what string) (PinInfo, error) {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return PinInfo{}, err
	}
	defer end()
	c, err := s.pinned(ctx, what)
	if err != nil {
		return PinInfo{}, err
	}
	p, err := s.roots.get(ctx, c)
	if err == nil {
		var was bool
		if was, err = s.roots.remove(ctx, c); err == nil && !was {
			err = datastore.ErrNotFound
		}
	}
	if errors.Is(err, datastore.ErrNotFound) {
		return PinInfo{}, fmt.Errorf("%s is %w", what, ErrNotPinned)
	}
	if err != nil {
		return PinInfo{}, fmt.Errorf("unpinning %s: %w", what, s.ended(ctx, err))
	}
	return p, nil
}

// pinned finds the one root that a CID or name stands for.
func (s *Store) pinned(ctx context.Context, what string) (cid.Cid, error) {
	if r, err := ParseRef(what); err == nil {
		if len(r.Path) > 0 {
			return cid.Undef, &RefError{Ref: what, Reason: "only a root is pinned, not what is below it"}
		}
		return r.CID, nil
	}
	if err := checkPinName(what); err != nil {
		return cid.Undef, err
	}
	var found []string
	if err := s.eachPin(ctx, what, func(p PinInfo) error { found = append(found, p.CID); return nil }); err != nil {
		return cid.Undef, fmt.Errorf("looking for the pin %q: %w", what, s.ended(ctx, err))
	}
	switch len(found) {
	case 0:
		return cid.Undef, fmt.Errorf("%q is %w, neither as a CID nor as a name", what, ErrNotPinned)
	case 1:
		return cid.Decode(found[0])
	}
	return cid.Undef, &AmbiguousError{what, found}
}

// Pins calls see for what is kept, in no order; with a CID or name, for those
// alone that it stands for. It never has them all in memory.
func (s *Store) Pins(ctx context.Context, what string, see func(PinInfo) error) error {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	r, err := ParseRef(what)
	if err != nil || len(r.Path) > 0 { // it is a name, or nothing
		if err := s.eachPin(ctx, what, see); err != nil {
			return fmt.Errorf("listing pins: %w", s.ended(ctx, err))
		}
		return nil
	}
	p, err := s.roots.get(ctx, r.CID)
	if errors.Is(err, datastore.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listing pins: %w", s.ended(ctx, err))
	}
	return see(p)
}

// eachPin calls see for every root that is kept, or those with the name.
func (s *Store) eachPin(ctx context.Context, name string, see func(PinInfo) error) error {
	return s.roots.each(ctx, func(c cid.Cid) error {
		p, err := s.roots.get(ctx, c)
		if errors.Is(err, datastore.ErrNotFound) { // unpinned just now
			return nil
		}
		if err != nil || name != "" && p.Name != name {
			return err
		}
		return see(p)
	})
}
