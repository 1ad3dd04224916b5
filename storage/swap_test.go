package storage

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/shoal-mesh/shoal/storage/blockstream"
)

// deaf is a session whose first requests are lost: they wait until they end.
type deaf struct {
	ipld.NodeGetter
	lost int
	nd   ipld.Node
}

func (d *deaf) Get(ctx context.Context, _ cid.Cid) (ipld.Node, error) {
	if d.lost > 0 {
		d.lost--
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.nd, nil
}

// Requests that are lost on their way are made again, ever less often.
func TestLostRequestIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := merkledag.NewRawNode([]byte("here after all"))
		began := time.Now()
		nd, err := askInRounds(t.Context(), &deaf{lost: 2, nd: want}, want.Cid(), time.Second)
		if err != nil || !nd.Cid().Equals(want.Cid()) {
			t.Fatalf("%v, %v", nd, err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("asked for the third time after %s, want 1 s + 2 s", took)
		}
	})
}

// Calls for the same blocks come, go, and come again once the blocks are collected.
// Each gets all of them from a peer that speaks Bitswap alone.
func TestBitswapSharesWants(t *testing.T) {
	kubo, b := newPeer(t), newPeer(t)
	kubo.host.RemoveStreamHandler(blockstream.Protocol)
	connect(t, b, kubo)
	folder := mustPut(t, kubo.Store, files(t, 8))
	for round := 0; round < 20 && !t.Failed(); round++ {
		if _, err := b.Collect(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		var calls sync.WaitGroup
		for range 3 {
			calls.Go(func() {
				if err := b.Fetch(t.Context(), folder, filepath.Join(t.TempDir(), "out")); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
	}
	if n := len(b.swapping.taken); n != 0 {
		t.Errorf("%d blocks are still taken", n)
	}
}

// Who waits for a turn gets it when the other ends, and waits no longer than it may.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		c, other := merkledag.NewRawNode([]byte("a")).Cid(), merkledag.NewRawNode([]byte("b")).Cid()
		waited, end, err := all.take(t.Context(), c)
		if waited || err != nil {
			t.Fatal(waited, err)
		}
		if waited, end, err := all.take(t.Context(), other); waited || err != nil {
			t.Error(waited, err)
		} else {
			end()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := all.take(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error is %v", err)
		}
		got := make(chan bool)
		for range 3 {
			go func() {
				waited, end, err := all.take(t.Context(), c)
				got <- waited && err == nil
				end()
			}()
		}
		synctest.Wait()
		select {
		case <-got:
			t.Error("a turn was given before the other had ended")
		default:
		}
		end()
		for range 3 {
			if !<-got {
				t.Error("who waited got no turn")
			}
		}
		synctest.Wait()
		if len(all.taken) != 0 {
			t.Errorf("%v are left", all.taken)
		}
	})
}
