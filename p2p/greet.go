package p2p

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/pnet"
	"github.com/multiformats/go-multiaddr"
)

// greeting is what a peer says first on every connection that it takes, unasked;
// in a private swarm behind a nonce of nonceLength bytes, and encrypted.
const (
	greeting    = "\x13/multistream/1.0.0\n"
	nonceLength = 24
	maxGreeted  = 8 // addresses of one peer
)

// greetAfter is how long a dial may take before it is looked whether the peer has
// another key. With one, either side takes noise for the length of something
// long: one dial in three hears nothing until its time is up.
const greetAfter = 300 * time.Millisecond

// keyError says that what listens at an address does not have this node's key,
// by what it said first.
type keyError struct{ at multiaddr.Multiaddr }

func (e *keyError) Error() string {
	return fmt.Sprintf("%s: it greets with another key, or without one", e.at)
}

// greets reports whether what listens at an address greets as a peer with this
// node's key does: nil if so, *keyError if not, and another error if it says too
// little to tell, or nothing is there.
func (m *Mesh) greets(ctx context.Context, at multiaddr.Multiaddr) error {
	said, err := firstWords(ctx, at)
	switch {
	case m.cfg.SwarmKey == nil && bytes.HasPrefix(said, []byte(greeting)):
		return nil
	case m.cfg.SwarmKey == nil && len(said) >= len(greeting), bytes.HasPrefix(said, []byte(greeting)):
		return &keyError{at}
	case len(said) < nonceLength+len(greeting):
		return fmt.Errorf("%s says too little to tell: %w", at, err)
	}
	conn, err := pnet.NewProtectedConn(m.cfg.SwarmKey[:], heard{r: bytes.NewReader(said)})
	if err != nil {
		return err
	}
	plain := make([]byte, len(greeting))
	if _, err := io.ReadFull(conn, plain); err != nil {
		return err
	}
	if string(plain) != greeting {
		return &keyError{at}
	}
	return nil
}

// heard is a connection whose other side has said all that it will.
type heard struct {
	net.Conn
	r io.Reader
}

func (h heard) Read(b []byte) (int, error) { return h.r.Read(b) }

// firstWords opens a TCP connection, says nothing and takes what the other side
// says, up to a greeting in a private swarm. It takes a second at most.
func firstWords(ctx context.Context, at multiaddr.Multiaddr) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, knockTimeout)
	defer cancel()
	c, err := knock(ctx, at)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	said := make([]byte, nonceLength+len(greeting))
	for n := 0; ; {
		more, err := c.Read(said[n:])
		n += more
		if err != nil || n == len(said) || n == len(greeting) && string(said[:n]) == greeting {
			return said[:n], err
		}
	}
}

// foreignAt is a keyError if one address of the peer shows another key, and none
// may be just slow.
func (m *Mesh) foreignAt(ctx context.Context, p peer.AddrInfo) error {
	var wg sync.WaitGroup
	errs := make([]error, min(len(p.Addrs), maxGreeted))
	for i := range errs {
		wg.Go(func() { errs[i] = m.greets(ctx, p.Addrs[i]) })
	}
	wg.Wait()
	var foreign error
	for _, err := range errs {
		switch err.(type) {
		case nil:
			return nil
		case *keyError:
			foreign = err
		}
	}
	return foreign
}
