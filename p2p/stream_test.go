package p2p

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// frozenPair is two meshes that know each other over a wire that a test freezes.
func frozenPair(t *testing.T) (a, b *testMesh, w *wire) {
	t.Helper()
	key, say := testKey(t), map[string]string{"n": "1"}
	b = start(t, Config{SwarmKey: key, Labels: say, Silence: time.Hour})
	w = newWire(t, b)
	at, err := manet.FromNetAddr(w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	a = start(t, Config{SwarmKey: key, Labels: say, Silence: time.Hour,
		Bootstrap: []peer.AddrInfo{{ID: b.id(), Addrs: []multiaddr.Multiaddr{at}}}})
	a.waitPeer(t, b.id())
	return a, b, w
}

// echo serves a protocol: it sends back what comes.
func echo(t *testing.T, m *testMesh) {
	t.Helper()
	l, err := m.Listener("/test/echo")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
}

// echoed dials, and waits for the echo of one byte.
func echoed(t *testing.T, a, b *testMesh) net.Conn {
	t.Helper()
	c, err := a.Dial(deadline(t), b.id(), "/test/echo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c
}

// stuck is a stream whose Close waits for a peer that never answers.
type stuck struct {
	network.Stream
	release chan struct{}
}

func (s stuck) Close() error                     { <-s.release; return nil }
func (s stuck) Reset() error                     { <-s.release; return s.Stream.Reset() }
func (s stuck) CloseWrite() error                { <-s.release; return nil }
func (s stuck) Read(b []byte) (int, error)       { return s.Stream.Read(b) }
func (s stuck) Write(b []byte) (int, error)      { return s.Stream.Write(b) }
func (s stuck) SetDeadline(when time.Time) error { return s.Stream.SetDeadline(when) }

func TestCloseDoesNotWait(t *testing.T) {
	a, b, w := frozenPair(t)
	echo(t, b)
	for _, dialled := range []bool{true, false} {
		whole := echoed(t, a, b).(*conn)
		s := stuck{whole.stream, make(chan struct{})}
		c := &conn{Conn: whole.Conn, stream: s, mesh: a.Mesh, dialled: dialled}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closing again: %v", err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("reading after Close: %v", err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing after Close: %v", err)
		}
		close(s.release)
	}

	// The same for real: the peer has accepted the connection, and answers nothing.
	close(w.frozen)
	c, err := a.Dial(deadline(t), b.id(), "/test/echo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; err == nil {
		t.Error("something was read")
	}
	if a.Host().Network().Connectedness(b.id()) != network.Connected {
		t.Error("Close waited until the connection was given up")
	}
}

// What an accepted connection wrote before it was closed arrives, and so does its
// end.
func TestAcceptedCloseDelivers(t *testing.T) {
	a, b := pair(t)
	l, err := b.Listener("/test/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	text := make([]byte, 3<<20) // more than fits into what is sent unasked
	wrote := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = c.Write(text)
			c.Close()
		}
		wrote <- err
	}()
	c, err := a.Dial(deadline(t), b.id(), "/test/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := io.ReadAll(c)
	if err != nil || len(got) != len(text) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// A reader that goes away lets the writer know.
func TestDialledCloseEndsThePeersWrites(t *testing.T) {
	a, b := pair(t)
	l, err := b.Listener("/test/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		for err == nil {
			_, err = c.Write(make([]byte, 64<<10))
		}
		ended <- err
	}()
	c, err := a.Dial(deadline(t), b.id(), "/test/echo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	case <-deadline(t).Done():
		t.Error("the peer writes on")
	}
}

func TestHTTPRequestToFrozenPeerIsCancelled(t *testing.T) {
	a, b, w := frozenPair(t)
	l, err := b.Listener("/test/http")
	if err != nil {
		t.Fatal(err)
	}
	srv, served := new(http.Server), make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	defer func() { srv.Close(); <-served }()
	transport := &http.Transport{DialContext: peerDialer(a.Mesh, b.id()), DisableKeepAlives: true}
	client := &http.Client{Transport: transport}
	res, err := client.Get("http://peer/") // from now on the protocol is known to be spoken
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	close(w.frozen)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	transport.DialContext = func(ctx context.Context, n, addr string) (net.Conn, error) {
		c, err := peerDialer(a.Mesh, b.id())(ctx, n, addr)
		return &cancelsOnWrite{c, cancel}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://peer/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("%v; want context.Canceled", err)
	}
	if a.Host().Network().Connectedness(b.id()) != network.Connected {
		t.Error("the request waited until the connection was given up")
	}
}

// cancelsOnWrite ends the request once it was sent.
type cancelsOnWrite struct {
	net.Conn
	cancel context.CancelFunc
}

func (c *cancelsOnWrite) Write(b []byte) (int, error) {
	defer c.cancel()
	return c.Conn.Write(b)
}
