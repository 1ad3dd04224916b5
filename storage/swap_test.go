package storage

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
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
