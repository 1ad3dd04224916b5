package api

import (
	"net"
	"net/netip"
	"sync"
)

// LimitEach closes connections at once that come from a site (see Site) which has
// as many open already: so whoever opens more than one machine has use for keeps
// nobody else out. Connections from this machine itself are not counted; a proxy
// that is on it speaks for everybody.
func LimitEach(l net.Listener, each int) net.Listener {
	return &eachListener{Listener: l, each: each, open: map[string]int{}}
}

type eachListener struct {
	net.Listener
	each int

	mu   sync.Mutex
	open map[string]int // by site
}

func (l *eachListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := c.RemoteAddr().String()
		if at, err := netip.ParseAddrPort(from); err == nil && at.Addr().Unmap().IsLoopback() {
			return c, nil
		}
		site := Site(from)
		if !l.enter(site) {
			_ = c.Close()
			continue
		}
		return &countedConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(site) })}, nil
	}
}

func (l *eachListener) enter(site string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[site] >= l.each {
		return false
	}
	l.open[site]++
	return true
}

func (l *eachListener) leave(site string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[site]--; l.open[site] == 0 {
		delete(l.open, site)
	}
}

// countedConn is a connection that is counted until it is closed.
type countedConn struct {
	net.Conn
	leave func()
}

func (c *countedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// Site is where a caller at the remote address (IP:PORT) is, as far as one can
// tell: an IPv4 address, or the /48 of IPv6 that a household or a company has. It
// is for what is shared out among callers.
func Site(remote string) string { return prefixOf(remote, 48) }

// hostOf is what a caller at the remote address has at its disposal, and what slows
// down one is counted by: an IPv4 address, or the /64 that is given to a single
// IPv6 host.
func hostOf(remote string) string { return prefixOf(remote, 64) }

func prefixOf(remote string, ipv6 int) string {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(ipv6); err == nil {
			return p.String()
		}
	}
	return a.String()
}
