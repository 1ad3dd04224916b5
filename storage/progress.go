package storage

import (
	"context"
	"time"

	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Progress is how far a fetch is.
type Progress struct {
	// Total is how many bytes it is in all, as the root claims: of a file its
	// length, of a folder that of all its blocks. 0 until the root is here.
	Total int64
	// Done is how many of them are here, Received those of them that came from
	// peers. Content that is in a folder twice comes once, so that Done may be
	// less than Total until the end, when it is Total.
	Done, Received int64
	Blocks         int // that came from peers
}

// progressEvery is how often a fetch says how far it is.
const progressEvery = 100 * time.Millisecond

type progressKey struct{}

// WithProgress has see called by what is fetched with the context, at first when
// the root is known and before anything is written, then several times a second,
// and at the end of a fetch that went well. It is called by one goroutine at a
// time; no call is made after the fetch has returned.
func WithProgress(ctx context.Context, see func(Progress)) context.Context {
	return context.WithValue(ctx, progressKey{}, see)
}

// fetching is how something is to be fetched.
type fetching struct {
	from   []peer.AddrInfo // who may have it
	recent int             // bytes that are kept in memory for a reader
}

// note counts bytes that came, and bytes that are here. The caller holds the
// mutex.
func (l *loader) note(received, here int64) {
	l.state.Done += here
	l.state.Received += received
	if received > 0 {
		l.state.Blocks++
	}
}

// report begins to say how far the fetch of a root is, if somebody wants to
// know. The function that it returns ends that; it must be called.
func (l *loader) report(root ipld.Node) (end func(whole bool)) {
	see, ok := l.ctx.Value(progressKey{}).(func(Progress))
	if !ok {
		return func(bool) {}
	}
	st, _, err := statNode(root)
	if err != nil {
		return func(bool) {} // whoever reads it says so
	}
	now := func() Progress {
		l.mu.Lock()
		defer l.mu.Unlock()
		p := l.state
		p.Total = st.Size
		p.Done = min(p.Done, p.Total)
		return p
	}
	see(now())
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				see(now())
			case <-stop:
				return
			}
		}
	}()
	return func(whole bool) {
		close(stop)
		<-done
		if whole {
			p := now()
			p.Done = p.Total
			see(p)
		}
	}
}
