package p2p

import (
	"strings"
	"testing"
)

func TestParseContact(t *testing.T) {
	const id = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
	for in, want := range map[string]string{
		"10.0.0.7":                                 "http://10.0.0.7:1234",
		" 10.0.0.7:4321 ":                          "http://10.0.0.7:4321",
		"attic:1234":                               "http://attic:1234",
		"node-1.example.org:80":                    "http://node-1.example.org:80",
		"::1":                                      "http://[::1]:1234",
		"[::1]":                                    "http://[::1]:1234",
		"[fd00::7]:99":                             "http://[fd00::7]:99",
		"http://attic":                             "http://attic:1234",
		"https://attic:8443/":                      "https://attic:8443",
		"/ip4/10.0.0.7/tcp/1234/http":              "http://10.0.0.7:1234",
		"/ip4/10.0.0.7/tcp/1234/https":             "https://10.0.0.7:1234",
		"/ip6/fd00::7/tcp/1234/http":               "http://[fd00::7]:1234",
		"/dns4/attic/tcp/1234/http":                "http://attic:1234",
		"/dns6/attic/tcp/1234/https":               "https://attic:1234",
		"/dns/attic/tcp/1234/tls/http":             "https://attic:1234",
		"/ip4/10.0.0.7/tcp/1234/http/p2p/" + id:    "http://10.0.0.7:1234 " + id,
		"/dns6/attic/tcp/1234/https/p2p/" + id:     "https://attic:1234 " + id,
		"/ip4/10.0.0.7/tcp/1235/p2p/" + id:         "/ip4/10.0.0.7/tcp/1235 " + id,
		"/dns4/attic/tcp/1235/p2p/" + id:           "/dns4/attic/tcp/1235 " + id,
		"/dns/attic/tcp/1235/p2p/" + id:            "/dns/attic/tcp/1235 " + id,
		"/ip4/10.0.0.7/udp/1235/quic-v1/p2p/" + id: "/ip4/10.0.0.7/udp/1235/quic-v1 " + id,
	} {
		c, err := ParseContact(in)
		got := c.URL
		if c.ID != "" {
			got += " " + c.ID.String()
		}
		if c.Info != nil {
			got += c.Info.Addrs[0].String() + " " + c.Info.ID.String()
		}
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "attic", "attic:", ":1234", "10.0.0.7:http", "10.0.0.7:0", "10.0.0.7:70000", "10.0.0", "a b:1", "ftp://attic", "http://u@attic", "http://attic/v1",
		"/ip4/10.0.0.7", "/ip4/10.0.0.7/tcp/1235", "/ip4/10.0.0.7/udp/1234/http", "/ip4/10.0.0.777/tcp/1234/http", "/p2p/" + id, "/p2p/" + id + "/ip4/10.0.0.7/tcp/1235", "/ip4/10.0.0.7/tcp/1235/p2p/12D3", "/ip4/10.0.0.7/udp/1234/http/p2p/" + id + "/x", "/unix/tmp/x/http", "/ip4/10.0.0.7/tcp/0/http",
	} {
		c, err := ParseContact(in)
		if err == nil || !strings.Contains(err.Error(), "/ip4/10.0.0.7/tcp/123") {
			t.Errorf("%q: %+v, %v; want an error with an example", in, c, err)
		}
	}
}
