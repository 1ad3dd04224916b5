package storage

import (
	"context"
	"testing"
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

// A request that is lost on its way is made again before patience ends.
func TestLostRequestIsMadeAgain(t *testing.T) {
	p := newPeer(t)
	p.patience = 6 * time.Second
	ref, err := ParseRef(unknownCID)
	if err != nil {
		t.Fatal(err)
	}
	held := p.claims.begin()
	defer held.keep()
	l := p.newLoader(t.Context(), ref, held)
	defer l.stop()
	want := merkledag.NewRawNode([]byte("here after all"))
	l.get = &deaf{lost: 1, nd: want}
	nd, err := l.Get(l.ctx, ref.CID)
	if err != nil || !nd.Cid().Equals(want.Cid()) {
		t.Fatalf("%v, %v", nd, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pause != p.patience/askAgain {
		t.Errorf("the next round is due after %v; a block has come", l.pause)
	}
}
