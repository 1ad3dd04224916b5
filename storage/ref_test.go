package storage

import (
	"errors"
	"slices"
	"testing"
)

func TestParseRef(t *testing.T) {
	const v0 = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"
	for s, want := range map[string]struct {
		cid  string
		path []string
	}{
		unknownCID:                         {unknownCID, nil},
		"ipfs://" + unknownCID:             {unknownCID, nil},
		"ipfs://" + unknownCID + "//":      {unknownCID, nil},
		"/ipfs/" + v0 + "/a/b c":           {v0, []string{"a", "b c"}},
		"ipfs://" + v0 + "/50%25/x\ny/...": {v0, []string{"50%25", "x\ny", "..."}},
	} {
		r, err := ParseRef(s)
		if err != nil || r.CID.String() != want.cid || !slices.Equal(r.Path, want.path) {
			t.Errorf("%q: %v, %v", s, r, err)
			continue
		}
		if again, err := ParseRef(r.String()); err != nil || again.String() != r.String() {
			t.Errorf("%q became %q: %v", r, again, err)
		}
	}
	for _, s := range []string{"", "ipfs:", "ipfs://", "/ipfs/", "ipns://" + v0, "/" + v0, "x/" + v0, v0[:20], v0 + "/..", v0 + "/a/./b", "ipfs:/" + v0} {
		r, err := ParseRef(s)
		var bad *RefError
		if !errors.As(err, &bad) || bad.Ref != s {
			t.Errorf("%q: want a RefError, got %v, %v", s, r, err)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	f.Add("ipfs://" + unknownCID + "/a")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRef(s)
		if err != nil {
			return
		}
		if again, err := ParseRef(r.String()); err != nil || again.String() != r.String() {
			t.Errorf("%q became %q: %v", r, again, err)
		}
	})
}
