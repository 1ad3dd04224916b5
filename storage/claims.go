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
// The lock of the collector (GCLock) would serve as well, but it is one lock for
// all blocks: a failed Add would wait for every Pin under way, which can take
// hours, and everybody else behind it.
type claims struct {
	mu     sync.Mutex
	blocks map[string]*claim // by multihash, which is what the disk knows them by
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
	if b.calls--; b.calls == 0 {
		delete(c.blocks, key)
	}
}
