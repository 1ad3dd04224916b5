package p2p

import (
	"context"
	"errors"
	"path"
	"strings"
	"sync"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p-kad-dht/records"
)

// Bounds of what a node keeps of the DHT for others. libp2p has none: it keeps in
// memory, for two days, whatever anybody who speaks the DHT says that they
// provide. A record takes about 300 bytes.
const (
	maxRecords     = 128 << 10
	maxPeerRecords = maxRecords / 8 // that say of one peer that it provides something
	maxValues      = 256            // records of other kinds, which Shoal itself never makes
	maxValueSize   = 16 << 10       // bytes of one of these
)

var errRecord = errors.New("there is no room for such a record of the DHT here")

// dhtRecords is the datastore of the DHT, in memory and within bounds. A
// provider's record that is beyond them is dropped without a word: the DHT writes
// those of many peers in one batch, and an error would lose the others' too. What
// is dropped is found at the peers that have it, which a fetch asks anyway, and is
// offered again by its provider within a day.
//
// It knows the records of a CID without a look at all others, unlike libp2p's
// own, where every question costs as much as there are records.
type dhtRecords struct {
	mu      sync.RWMutex
	folders map[string]map[string][]byte // /providers/CID, /pk: by their last part, which is the provider
	count   int                          // of providers' records
	values  int
	byPeer  map[string]int
}

var _ ds.Batching = (*dhtRecords)(nil)

func newDHTRecords() *dhtRecords {
	return &dhtRecords{folders: map[string]map[string][]byte{}, byPeer: map[string]int{}}
}

func isProvider(k ds.Key) bool { return strings.HasPrefix(k.String(), records.ProvidersKeyPrefix) }

func (r *dhtRecords) get(k ds.Key) ([]byte, bool) {
	v, ok := r.folders[path.Dir(k.String())][path.Base(k.String())]
	return v, ok
}

// Get is the value of a key, or datastore.ErrNotFound.
func (r *dhtRecords) Get(_ context.Context, k ds.Key) ([]byte, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if v, ok := r.get(k); ok {
		return v, nil
	}
	return nil, ds.ErrNotFound
}

// Has reports whether a key is there.
func (r *dhtRecords) Has(_ context.Context, k ds.Key) (bool, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.get(k)
	return ok, nil
}

// GetSize is the size of the value of a key, in bytes.
func (r *dhtRecords) GetSize(ctx context.Context, k ds.Key) (int, error) {
	v, err := r.Get(ctx, k)
	if err != nil {
		return -1, err
	}
	return len(v), nil
}

// Put writes a record, or drops it.
func (r *dhtRecords) Put(_ context.Context, k ds.Key, v []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	dir, name := path.Dir(k.String()), path.Base(k.String())
	_, has := r.get(k)
	switch {
	case !isProvider(k) && (len(v) > maxValueSize || !has && r.values >= maxValues):
		return errRecord
	case isProvider(k) && !has && (r.count >= maxRecords || r.byPeer[name] >= maxPeerRecords):
		return nil
	}
	if r.folders[dir] == nil {
		r.folders[dir] = map[string][]byte{}
	}
	r.folders[dir][name] = v
	if !has {
		r.tally(k, 1)
	}
	return nil
}

// Delete removes a record, which may not be there.
func (r *dhtRecords) Delete(_ context.Context, k ds.Key) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, has := r.get(k); !has {
		return nil
	}
	dir, name := path.Dir(k.String()), path.Base(k.String())
	if delete(r.folders[dir], name); len(r.folders[dir]) == 0 {
		delete(r.folders, dir)
	}
	r.tally(k, -1)
	return nil
}

func (r *dhtRecords) tally(k ds.Key, n int) {
	if !isProvider(k) {
		r.values += n
		return
	}
	r.count += n
	name := path.Base(k.String())
	if r.byPeer[name] += n; r.byPeer[name] == 0 {
		delete(r.byPeer, name)
	}
}

// Query finds records as they are now.
func (r *dhtRecords) Query(_ context.Context, q query.Query) (query.Results, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var found []query.Entry
	take := func(dir string) {
		for name, v := range r.folders[dir] {
			e := query.Entry{Key: path.Join(dir, name), Size: len(v)}
			if !q.KeysOnly {
				e.Value = v
			}
			found = append(found, e)
		}
	}
	if prefix := ds.NewKey(q.Prefix); isProvider(prefix) {
		take(prefix.String())
	} else {
		for dir := range r.folders {
			take(dir)
		}
	}
	return query.NaiveQueryApply(q, query.ResultsWithEntries(q, found)), nil
}

// Batch is a batch of Puts and Deletes.
func (r *dhtRecords) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(r), nil }

// Sync does nothing.
func (r *dhtRecords) Sync(context.Context, ds.Key) error { return nil }

// Close does nothing.
func (r *dhtRecords) Close() error { return nil }
