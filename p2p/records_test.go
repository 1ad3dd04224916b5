package p2p

import (
	"encoding/binary"
	"fmt"
	"testing"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
)

// A peer that says without end what it provides fills no memory, and takes no
// place from others.
func TestFloodOfProviders(t *testing.T) {
	m := start(t, Config{SwarmKey: testKey(t)})
	store := m.dht.ProviderStore()
	flood, honest := test.RandPeerIDFatal(t), test.RandPeerIDFatal(t)
	key := func(i int) []byte { return binary.BigEndian.AppendUint64([]byte("key "), uint64(i)) }
	for i := range 2 * maxPeerRecords {
		if err := store.AddProvider(t.Context(), key(i), peer.AddrInfo{ID: flood}); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.AddProvider(t.Context(), key(0), peer.AddrInfo{ID: honest}); err != nil {
		t.Fatal(err)
	}
	kept := map[peer.ID]int{}
	for i := range 2 * maxPeerRecords {
		who, err := store.GetProviders(t.Context(), key(i))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range who {
			kept[p.ID]++
		}
	}
	const buffered = 512 // at most, by the DHT itself
	if n := kept[flood]; n < maxPeerRecords || n > maxPeerRecords+buffered || kept[honest] != 1 {
		t.Errorf("%d records of a flood of %d are kept, and %d of another peer; want about %d, and 1", n, 2*maxPeerRecords, kept[honest], maxPeerRecords)
	}
}

func TestDHTRecordsAreBounded(t *testing.T) {
	r, ctx := newDHTRecords(), t.Context()
	count := func() int {
		found, err := r.Query(ctx, query.Query{KeysOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		all, err := found.Rest()
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	provider := func(i, peer int) ds.Key { return ds.NewKey(fmt.Sprintf("/providers/%d/%d", i, peer)) }
	batch, err := r.Batch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for p := range 10 {
		for i := range maxPeerRecords {
			if err := batch.Put(ctx, provider(i, p), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := batch.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != maxRecords {
		t.Errorf("there are %d records of many peers, want %d", n, maxRecords)
	}
	for i := range 2 * maxValues {
		err := r.Put(ctx, ds.NewKey(fmt.Sprintf("/pk/%d", i)), make([]byte, maxValueSize))
		if (err == nil) != (i < maxValues) {
			t.Fatalf("value %d: %v", i, err)
		}
	}
	if err := r.Put(ctx, ds.NewKey("/pk/0"), make([]byte, maxValueSize+1)); err == nil {
		t.Error("a huge value is taken")
	}
	if err := r.Put(ctx, ds.NewKey("/pk/0"), []byte("another")); err != nil {
		t.Errorf("a value that is there already is not replaced: %v", err)
	}
	// What goes makes room, in the same batch too, and only once.
	if batch, err = r.Batch(ctx); err != nil {
		t.Fatal(err)
	}
	found, err := r.Query(ctx, query.Query{KeysOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	all, err := found.Rest()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		for range 2 {
			if err := batch.Delete(ctx, ds.RawKey(e.Key)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := batch.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 0 || r.count != 0 || r.values != 0 || len(r.byPeer) != 0 {
		t.Errorf("%d records are left, and %d and %d are counted, of %d peers", n, r.count, r.values, len(r.byPeer))
	}
	if err := r.Put(ctx, provider(1, 1), nil); err != nil || count() != 1 {
		t.Errorf("there is no room after all was removed: %v", err)
	}
}
