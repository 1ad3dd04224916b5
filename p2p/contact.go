package p2p

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// apiPort is where a node's HTTP API is unless it was told otherwise.
const apiPort = "1234"

// Contact is a way to a peer that a user typed: the URL of its HTTP API, which
// tells its ID and addresses, or, with Info set, those themselves.
type Contact struct {
	URL  string
	ID   peer.ID // who must answer at URL; empty if any peer may
	Info *peer.AddrInfo
}

// ParseContact reads what --peer and --join take:
//
//	/ip4/10.0.0.7/tcp/1235/p2p/12D3…   a peer's address with its ID
//	/ip4/10.0.0.7/tcp/1234/http        its HTTP API (also https, ip6, dns, dns4, dns6;
//	                                   with /p2p/12D3… behind it, only that peer will do)
//	10.0.0.7   10.0.0.7:1234   attic:1234   http://attic:1234
func ParseContact(s string) (Contact, error) {
	s = strings.TrimSpace(s)
	switch {
	case strings.HasPrefix(s, "/"):
		return parseMultiaddrContact(s)
	case strings.Contains(s, "://"):
		return parseURLContact(s)
	}
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return urlContact("http", ip.String(), apiPort), nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || !validHost(host) || !validPort(port) {
		return Contact{}, badContact(s)
	}
	return urlContact("http", host, port), nil
}

func badContact(s string) error {
	return fmt.Errorf("%q is no peer's address: give an IP (10.0.0.7), HOST:PORT of its API (10.0.0.7:%s), "+
		"/ip4/10.0.0.7/tcp/%s/http, or its address with its ID (/ip4/10.0.0.7/tcp/1235/p2p/12D3…)", s, apiPort, apiPort)
}

func parseMultiaddrContact(s string) (Contact, error) {
	m, err := multiaddr.NewMultiaddr(s)
	if err != nil {
		return Contact{}, fmt.Errorf("%w (%v)", badContact(s), err)
	}
	at, id := peer.SplitAddr(m)
	host, port, scheme := httpParts(at)
	switch {
	case scheme != "" && validPort(port):
		c := urlContact(scheme, host, port)
		c.ID = id
		return c, nil
	case scheme != "" || id == "":
		return Contact{}, badContact(s)
	case len(at) == 0:
		return Contact{}, fmt.Errorf("%q names a peer but not where it is: put its address before /p2p, as in /ip4/10.0.0.7/tcp/1235/p2p/12D3…", s)
	}
	return Contact{Info: &peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{at}}}, nil
}

// httpParts takes HOST/tcp/PORT/http, …/https or …/tls/http apart; scheme is
// empty for every other shape.
func httpParts(m multiaddr.Multiaddr) (host, port, scheme string) {
	var shape []string
	for _, c := range m {
		shape = append(shape, c.Protocol().Name)
	}
	if len(shape) < 3 || shape[1] != "tcp" {
		return "", "", ""
	}
	switch shape[0] {
	case "ip4", "ip6", "dns", "dns4", "dns6":
	default:
		return "", "", ""
	}
	switch strings.Join(shape[2:], "/") {
	case "http":
		scheme = "http"
	case "https", "tls/http":
		scheme = "https"
	}
	return m[0].Value(), m[1].Value(), scheme
}

func parseURLContact(s string) (Contact, error) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || !validHost(u.Hostname()) {
		return Contact{}, badContact(s)
	}
	port := u.Port()
	if port == "" {
		port = apiPort
	}
	if !validPort(port) {
		return Contact{}, badContact(s)
	}
	return urlContact(u.Scheme, u.Hostname(), port), nil
}

func urlContact(scheme, host, port string) Contact {
	u := url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}
	return Contact{URL: u.String()}
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func validHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	})
}
