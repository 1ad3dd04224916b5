package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	gostream "github.com/libp2p/go-libp2p/p2p/net/gostream"
)

// Bounds of how long a closed connection waits, in the background, for the other
// side to close too, and of what it still takes from there.
const (
	lingerTime  = 5 * time.Second
	lingerBytes = 64 << 10
)

// Listener takes streams of a protocol as connections, e.g. for an http.Server.
// RemoteAddr().String() of each is the peer's ID, proved by its connection.
// Close it before the Mesh.
func (m *Mesh) Listener(proto protocol.ID) (net.Listener, error) {
	l, err := gostream.Listen(m.host, proto)
	if err != nil {
		return nil, fmt.Errorf("listening for %s: %w", proto, err)
	}
	return listener{l, m}, nil
}

// listener reports its end as servers expect it.
type listener struct {
	net.Listener
	mesh *Mesh
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if errors.Is(err, context.Canceled) {
		return nil, net.ErrClosed
	}
	if err != nil {
		return nil, err
	}
	return newConn(l.mesh, c, false)
}

// Dial opens a stream to a peer as a connection, connecting to the peer if need
// be. ctx bounds the opening only. To close the connection before the other side
// has closed it is to break it off: what was just written may not arrive.
func (m *Mesh) Dial(ctx context.Context, to peer.ID, proto protocol.ID) (net.Conn, error) {
	c, err := gostream.Dial(ctx, m.host, to, proto)
	if err != nil {
		return nil, fmt.Errorf("opening %s to peer %s: %w", proto, to, inOneLine(err))
	}
	return newConn(m, c, true)
}

// conn is a stream as a connection whose Close does not wait. A stream's own
// Close does: on the dialling side for the peer's part of the handshake, on both
// for room in the connection's send queue. From a peer that is frozen neither
// comes.
type conn struct {
	net.Conn
	stream  network.Stream
	mesh    *Mesh
	dialled bool

	reads  sync.RWMutex // held by Read, so that finish does not read beside it
	closed atomic.Bool
	ended  atomic.Bool // the other side has closed, and all of it was read
	broken atomic.Bool // something could not be written
}

func newConn(m *Mesh, c net.Conn, dialled bool) (net.Conn, error) {
	s, ok := c.(network.Stream)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("p2p: a connection over libp2p is a %T, not a stream", c)
	}
	return &conn{Conn: c, stream: s, mesh: m, dialled: dialled}, nil
}

func (c *conn) Read(b []byte) (int, error) {
	c.reads.RLock()
	defer c.reads.RUnlock()
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(b)
	if err == io.EOF {
		c.ended.Store(true)
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Write(b)
	if err != nil {
		c.broken.Store(true)
	}
	return n, err
}

// Close ends reads and writes that are under way and returns at once. On the
// accepting side what was written still goes out.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	c.stream.SetDeadline(time.Unix(1, 0))
	if !c.mesh.endings.Go(c.finish) {
		c.stream.Reset() // the host is closed: nothing is sent any more
	}
	return nil
}

// finish closes the stream: a reset when something is cut off by that, else in
// the regular way. A regular end alone would leave a peer that goes on sending
// blocked for ever.
func (c *conn) finish() {
	defer c.stream.Reset() // of what has ended on both sides it does nothing
	if c.broken.Load() || c.dialled && !c.ended.Load() {
		return
	}
	c.stream.CloseWrite()
	c.reads.Lock()
	defer c.reads.Unlock()
	c.stream.SetReadDeadline(time.Now().Add(lingerTime))
	io.Copy(io.Discard, io.LimitReader(c.stream, lingerBytes))
}
