package api

import (
	"errors"
	"io"
	"net"
	"testing"
)

// scripted is a listener whose connections come from the addresses that it is
// told.
type scripted chan net.Conn

func (s scripted) Accept() (net.Conn, error) {
	c, ok := <-s
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (s scripted) Close() error   { return nil }
func (s scripted) Addr() net.Addr { return &net.TCPAddr{} }

type from struct {
	net.Conn
	at string
}

func (f from) RemoteAddr() net.Addr { a, _ := net.ResolveTCPAddr("tcp", f.at); return a }

func TestLimitEach(t *testing.T) {
	s := make(scripted, 1)
	l := LimitEach(s, 2)
	// come is a connection from an address, and its other end.
	come := func(at string) (net.Conn, net.Conn) {
		here, there := net.Pipe()
		t.Cleanup(func() { here.Close(); there.Close() })
		return from{here, at}, there
	}
	takes := func(at string) net.Conn {
		t.Helper()
		c, _ := come(at)
		s <- c
		got, err := l.Accept()
		if err != nil || got.RemoteAddr().String() != at {
			t.Fatalf("from %s: %v, %v", at, got, err)
		}
		return got
	}
	first := takes("10.0.0.9:1")
	takes("10.0.0.9:2")
	takes("[2001:db8:1:2::1]:1")
	takes("[2001:db8:1:3::1]:1")
	for _, at := range []string{"10.0.0.9:3", "[::ffff:10.0.0.9]:4", "[2001:db8:1:4::1]:1"} {
		c, there := come(at)
		s <- c
		accepted := make(chan net.Conn)
		go func() {
			next, err := l.Accept()
			if err != nil {
				t.Error(err)
			}
			accepted <- next
		}()
		if _, err := there.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the third connection from %s: %v", at, err)
		}
		other, _ := come("10.0.0.10:1")
		s <- other
		got := <-accepted
		if got.RemoteAddr().String() != "10.0.0.10:1" {
			t.Errorf("after it came %s", got.RemoteAddr())
		}
		got.Close()
	}
	for range 5 {
		takes("127.0.0.1:1") // perhaps a proxy
	}
	first.Close()
	first.Close() // as net/http does
	third := takes("10.0.0.9:5")
	third.Close()
	if n := l.(*eachListener).open["10.0.0.9"]; n != 1 {
		t.Errorf("%d connections are counted", n)
	}
	close(s)
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("in the end: %v", err)
	}
}
