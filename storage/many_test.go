package storage

import (
	"fmt"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	ipld "github.com/ipfs/go-ipld-format"
)

// pinMany pins n files of a few bytes.
func (p *aPeer) pinMany(t testing.TB, n int) {
	t.Helper()
	for i := range n {
		nd, err := merkledag.NewRawNodeWPrefix(fmt.Appendf(nil, "file %d", i), profile().CidBuilder())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.kubo.dag.Add(t.Context(), nd); err != nil {
			t.Fatal(err)
		}
		if _, err := p.keep(t.Context(), nd, PinInfo{Name: fmt.Sprint("file ", i), By: User}, false); err != nil {
			t.Fatal(err)
		}
	}
}

// Of 100,000 blocks, half of them pinned.
func BenchmarkKeep100k(b *testing.B) {
	p := newPeer(b)
	const n = 100_000
	many := func(what string) []ipld.Node {
		var nds []ipld.Node
		for i := range n / 2 {
			nd, err := merkledag.NewRawNodeWPrefix(fmt.Appendf(nil, "%s %d", what, i), profile().CidBuilder())
			if err != nil {
				b.Fatal(err)
			}
			nds = append(nds, nd)
		}
		return nds
	}
	add := func(nds []ipld.Node) {
		for len(nds) > 0 {
			k := min(len(nds), 5000)
			if err := p.kubo.dag.AddMany(b.Context(), nds[:k]); err != nil {
				b.Fatal(err)
			}
			nds = nds[k:]
		}
	}
	p.pinMany(b, n/2)
	garbage := many("garbage")
	b.Run("gc", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			add(garbage)
			b.StartTimer()
			got, err := p.Collect(b.Context(), false)
			if err != nil || got.Blocks != n/2 || got.Kept != n/2 {
				b.Fatal(got, err)
			}
		}
	})
	b.Run("pins", func(b *testing.B) {
		for b.Loop() {
			seen := 0
			if err := p.Pins(b.Context(), "", func(PinInfo) error { seen++; return nil }); err != nil || seen != n/2 {
				b.Fatal(seen, err)
			}
		}
	})
	b.Run("status", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.Usage(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
