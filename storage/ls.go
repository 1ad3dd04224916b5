package storage

import (
	"context"
	"fmt"

	ipld "github.com/ipfs/go-ipld-format"
)

// Entry is one thing in a folder.
type Entry struct {
	Stat        // without a Kind where only a block that is not here could tell
	Name string // of a file or link that was asked for itself, as the reference ends
}

// Ls calls see for each entry of the folder that ref names, in the order of
// names; for a file or link, once with that. It asks peers for the blocks of the
// folder and the way there alone. See Fetch for errors.
func (s *Store) Ls(ctx context.Context, ref string, see func(Entry) error) error {
	r, err := ParseRef(ref)
	if err != nil {
		return err
	}
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	held := s.claims.begin()
	defer held.keep()
	l := s.newLoader(ctx, r, held, fetching{})
	defer l.stop()
	nd, err := find(l.ctx, l, r)
	if err != nil {
		return l.explain(err)
	}
	st, _, err := statNode(nd)
	if err != nil {
		return fmt.Errorf("listing %s: %w", r, err)
	}
	if st.Kind != Folder {
		return see(Entry{st, r.Name()})
	}
	links, err := list(l.ctx, readOnly{l}, nd, s.entries)
	if err != nil {
		return l.explain(err)
	}
	l.stop() // what follows waits for see, and asks nobody
	for _, link := range links {
		st, err := s.statLink(ctx, link)
		if err != nil {
			return fmt.Errorf("listing %s: %w", r, s.ended(ctx, err))
		}
		if err := see(Entry{st, link.Name}); err != nil {
			return err
		}
	}
	return nil
}

// statLink describes what a folder's entry links to by what is on this disk.
func (s *Store) statLink(ctx context.Context, l *ipld.Link) (Stat, error) {
	st := Stat{CID: l.Cid.String(), Size: clamp(l.Size)}
	if isRaw(l.Cid) {
		st.Kind = File
		return st, nil
	}
	nd, err := s.kubo.local.Get(ctx, l.Cid)
	if ipld.IsNotFound(err) {
		return st, nil
	}
	if err != nil {
		return st, err
	}
	if known, _, err := statNode(nd); err == nil {
		return known, nil
	}
	return st, nil // no file, folder or link
}
