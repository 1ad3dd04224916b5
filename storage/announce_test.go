package storage

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p/core/routing"
	"go.uber.org/zap/zaptest"
)

// nowhere is a routing that nobody is on.
type nowhere struct{ routing.Routing }

func (nowhere) Provide(context.Context, cid.Cid, bool) error { return nil }

// announced is a routing that remembers when it was told what.
type announced struct {
	routing.Routing
	mu    sync.Mutex
	fails int // so many times
	told  map[cid.Cid][]time.Duration
	begun time.Time
}

func (a *announced) Provide(_ context.Context, c cid.Cid, _ bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fails--; a.fails >= 0 {
		return errors.New("nobody answers")
	}
	a.told[c] = append(a.told[c], time.Since(a.begun))
	return nil
}

func TestAnnounceAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &announced{told: map[cid.Cid][]time.Duration{}, begun: time.Now(), fails: 3}
		s := &Store{
			log: zaptest.NewLogger(t), routing: to, news: newQueue(), repo: &diskRepo{room: new(room)},
			roots: &roots{data: dssync.MutexWrap(datastore.NewMapDatastore())},
		}
		s.life, s.die = context.WithCancelCause(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		pin := func(id string) cid.Cid {
			c, err := cid.Decode(id)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.roots.put(ctx, c, PinInfo{}, false); err != nil {
				t.Fatal(err)
			}
			return c
		}
		old := pin(unknownCID)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(time.Hour)
		young := pin(emptyFile.Cid().String())
		s.news.push(young)
		time.Sleep(50 * time.Hour) // two rounds more, and the next is due at 66 h
		if _, err := s.roots.remove(ctx, young); err != nil {
			t.Fatal(err)
		}
		s.news.push(young) // as if it was unpinned before it could be announced
		time.Sleep(30 * time.Hour)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		// Three failures: after 0, 1 and 3 s.
		first := firstRetry + 2*firstRetry + 4*firstRetry
		wantTimes(t, "old", to.told[old], first, announceEvery, 2*announceEvery, 3*announceEvery)
		wantTimes(t, "young", to.told[young], time.Hour, announceEvery, 2*announceEvery)
	})
}

func wantTimes(t *testing.T, what string, got []time.Duration, want ...time.Duration) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s was announced at %v, want %v", what, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s was announced at %v, want %v", what, got, want)
			break
		}
	}
}
