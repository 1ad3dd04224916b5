package storage

import (
	"context"
	"sync"

	"github.com/ipfs/go-cid"
)

// claims keeps account of the blocks that calls under way rely on, so that a
// call that fails can take back what it wrote, and nothing that another needs.
//
// A call claims every block before it looks whether the block is here, and
// before it writes it. A block is fresh when one of its claimants found that it
// was not here: it is on disk because of them alone. The last of them to end
// removes it, unless one of them ended well. What was here before, pinned or
// not, is never fresh.
//
// The collector leaves what is claimed alone, too, and what was claimed at any
// time since it began, as the root that keeps that now may be one that it did not
// see. So whoever needs a block claims it before looking whether it is here, and
// until it is pinned or used no more.
//
// The lock of Kubo's collector (GCLock) would serve as well, but it is one lock
// for all blocks: a collection would wait for every Pin under way, which can take
// hours, and everybody else behind it.
type claims struct {
	mu      sync.Mutex
	blocks  map[string]*claim   // by multihash, which is what the disk knows them by
	lately  map[string]struct{} // what was claimed, and no longer is, since watch
	watches int                 // collections under way
}

// claim is what is known of one block that calls rely on.
type claim struct {
	calls int
	fresh bool
	kept  bool // one of the calls ended well
}

func newClaims() *claims { return &claims{blocks: make(map[string]*claim)} }

// hold is what one call claims. It ends with keep or takeBack.
type hold struct {
	claims *claims
	mine   map[string]struct{} // guarded by the claims' mutex
}

func (c *claims) begin() *hold { return &hold{claims: c, mine: make(map[string]struct{})} }

// claim claims a block and reports whether this call had not done so before.
func (h *hold) claim(id cid.Cid) bool {
	key := string(id.Hash())
	h.claims.mu.Lock()
	defer h.claims.mu.Unlock()
	if _, ok := h.mine[key]; ok {
		return false
	}
	h.mine[key] = struct{}{}
	b := h.claims.blocks[key]
	if b == nil {
		b = new(claim)
		h.claims.blocks[key] = b
	}
	b.calls++
	return true
}

// fresh says that a claimed block was not here.
func (h *hold) fresh(id cid.Cid) {
	h.claims.mu.Lock()
	defer h.claims.mu.Unlock()
	if b := h.claims.blocks[string(id.Hash())]; b != nil {
		b.fresh = true
	}
}

// keep ends a call that did well: its blocks stay, whoever else fails.
func (h *hold) keep() {
	h.claims.mu.Lock()
	defer h.claims.mu.Unlock()
	for key := range h.mine {
		b := h.claims.blocks[key]
		b.kept = true
		h.claims.drop(key, b)
	}
	h.mine = nil
}

// takeBack ends a call that failed: it removes those of its blocks that are here
// because of it alone. It goes on after an error and returns the first one.
func (h *hold) takeBack(ctx context.Context, remove func(context.Context, cid.Cid) error) error {
	var first error
	for key := range h.mine {
		if err := h.takeBackOne(ctx, key, remove); err != nil && first == nil {
			first = err
		}
	}
	h.mine = nil
	return first
}

// takeBackOne removes under the mutex, so that nobody who claims the block in
// this moment finds it still here.
func (h *hold) takeBackOne(ctx context.Context, key string, remove func(context.Context, cid.Cid) error) error {
	h.claims.mu.Lock()
	defer h.claims.mu.Unlock()
	b := h.claims.blocks[key]
	h.claims.drop(key, b)
	if b.calls > 0 || !b.fresh || b.kept {
		return nil
	}
	return remove(ctx, cid.NewCidV1(cid.Raw, []byte(key)))
}

func (c *claims) drop(key string, b *claim) {
	if b.calls--; b.calls > 0 {
		return
	}
	delete(c.blocks, key)
	if c.watches > 0 {
		c.lately[key] = struct{}{}
	}
}

// watch has claims that end remembered for a collection, until done is called.
func (c *claims) watch() (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watches++; c.watches == 1 {
		c.lately = make(map[string]struct{})
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.watches--; c.watches == 0 {
			c.lately = nil
		}
	}
}

// collect removes a block that nobody relies on, and reports whether it did. As
// in takeBackOne, it does that under the mutex.
func (c *claims) collect(ctx context.Context, key string, remove func(context.Context, cid.Cid) error) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blocks[key] != nil {
		return false, nil
	}
	if _, ok := c.lately[key]; ok {
		return false, nil
	}
	return true, remove(ctx, cid.NewCidV1(cid.Raw, []byte(key)))
}
