package storage

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
)

func TestClaims(t *testing.T) {
	block := emptyFile.Cid()
	for name, c := range map[string]struct {
		fresh []bool   // by call: whether it found that the block was not here
		ends  []string // by call, in this order
		want  []bool   // by call: whether its end removed the block
	}{
		"failed alone":           {[]bool{true}, []string{"fail"}, []bool{true}},
		"failed, block was here": {[]bool{false}, []string{"fail"}, []bool{false}},
		"did well":               {[]bool{true}, []string{"keep"}, []bool{false}},
		"both failed":            {[]bool{true, false}, []string{"fail", "fail"}, []bool{false, true}},
		"the writer did well":    {[]bool{true, false}, []string{"keep", "fail"}, []bool{false, false}},
		"the other did well":     {[]bool{true, false}, []string{"fail", "keep"}, []bool{false, false}},
		"well, then the writer":  {[]bool{false, true}, []string{"keep", "fail"}, []bool{false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			all := newClaims()
			var holds []*hold
			for _, fresh := range c.fresh {
				h := all.begin()
				if !h.claim(block) || h.claim(block) {
					t.Error("the first claim of a block, and only that, is the first")
				}
				if fresh {
					h.fresh(block)
				}
				holds = append(holds, h)
			}
			var got []bool
			for i, h := range holds {
				removed := false
				if c.ends[i] == "keep" {
					h.keep()
				} else if err := h.takeBack(t.Context(), func(_ context.Context, id cid.Cid) error {
					removed = slices.Equal(id.Hash(), block.Hash())
					return nil
				}); err != nil {
					t.Error(err)
				}
				got = append(got, removed)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("removed: %v, want %v", got, c.want)
			}
			if len(all.blocks) != 0 {
				t.Errorf("%d claims are left", len(all.blocks))
			}
		})
	}
}

func TestTakeBackGoesOnAfterAnError(t *testing.T) {
	h, broken, tried := newClaims().begin(), errors.New("broken"), 0
	for _, s := range []string{unknownCID, emptyFile.Cid().String()} {
		id, err := cid.Decode(s)
		if err != nil {
			t.Fatal(err)
		}
		h.claim(id)
		h.fresh(id)
	}
	err := h.takeBack(t.Context(), func(context.Context, cid.Cid) error { tried++; return broken })
	if !errors.Is(err, broken) || tried != 2 {
		t.Errorf("%d tried, %v", tried, err)
	}
}
