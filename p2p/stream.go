package p2p

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	gostream "github.com/libp2p/go-libp2p/p2p/net/gostream"
)

// Listener takes streams of a protocol as connections, e.g. for an http.Server.
// RemoteAddr().String() of each is the peer's ID, proved by its connection.
// Close it before the Mesh.
func (m *Mesh) Listener(proto protocol.ID) (net.Listener, error) {
	l, err := gostream.Listen(m.host, proto)
	if err != nil {
		return nil, fmt.Errorf("listening for %s: %w", proto, err)
	}
	return listener{l}, nil
}

// listener reports its end as servers expect it.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if errors.Is(err, context.Canceled) {
		return nil, net.ErrClosed
	}
	return c, err
}

// Dial opens a stream to a peer as a connection, connecting to the peer if need
// be. ctx bounds the opening only.
func (m *Mesh) Dial(ctx context.Context, to peer.ID, proto protocol.ID) (net.Conn, error) {
	c, err := gostream.Dial(ctx, m.host, to, proto)
	if err != nil {
		return nil, fmt.Errorf("opening %s to peer %s: %w", proto, to, err)
	}
	return c, nil
}
