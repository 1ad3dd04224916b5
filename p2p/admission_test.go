package p2p

import (
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

func TestReachedAt(t *testing.T) {
	own := []string{"/ip4/0.0.0.0/tcp/1235", "/ip6/::/tcp/1235", "/ip4/127.0.0.1/tcp/1235", "/ip4/192.168.0.7/tcp/1235", "/ip4/192.168.0.7/udp/1236/quic-v1"}
	for name, c := range map[string]struct {
		host string
		own  []string
		want []string
	}{
		"from afar":               {"10.0.0.7", own, []string{"/ip4/10.0.0.7/tcp/1235", "/ip4/192.168.0.7/tcp/1235", "/ip4/192.168.0.7/udp/1236/quic-v1"}},
		"through a port forward":  {"203.0.113.9", []string{"/ip4/192.168.0.7/tcp/1235"}, []string{"/ip4/203.0.113.9/tcp/1235", "/ip4/192.168.0.7/tcp/1235"}},
		"on this machine":         {"127.0.0.1", own, []string{"/ip4/127.0.0.1/tcp/1235", "/ip4/192.168.0.7/tcp/1235", "/ip4/192.168.0.7/udp/1236/quic-v1"}},
		"at its own address":      {"192.168.0.7", []string{"/ip4/192.168.0.7/tcp/1235"}, []string{"/ip4/192.168.0.7/tcp/1235"}},
		"only on its loopback":    {"10.0.0.7", []string{"/ip4/127.0.0.1/tcp/1235"}, []string{"/ip4/10.0.0.7/tcp/1235"}},
		"several ports":           {"10.0.0.7", []string{"/ip4/0.0.0.0/tcp/1235", "/ip4/0.0.0.0/tcp/99"}, []string{"/ip4/10.0.0.7/tcp/1235", "/ip4/10.0.0.7/tcp/99"}},
		"IPv6":                    {"fd00::7", []string{"/ip6/::/tcp/1235"}, []string{"/ip6/fd00::7/tcp/1235"}},
		"IPv6 with a zone":        {"fe80::7%eth0", []string{"/ip6/::/tcp/1235"}, []string{"/ip6/fe80::7/tcp/1235"}},
		"IPv4 in IPv6":            {"::ffff:10.0.0.7", []string{"/ip4/0.0.0.0/tcp/1235"}, []string{"/ip4/10.0.0.7/tcp/1235"}},
		"by name":                 {"attic.example", []string{"/ip4/0.0.0.0/tcp/1235"}, []string{"/dns/attic.example/tcp/1235"}},
		"by the name of loopback": {"localhost", []string{"/ip4/127.0.0.1/tcp/1235"}, []string{"/dns/localhost/tcp/1235", "/ip4/127.0.0.1/tcp/1235"}},
	} {
		var info peer.AddrInfo
		for _, a := range c.own {
			info.Addrs = append(info.Addrs, multiaddr.StringCast(a))
		}
		var got []string
		for _, a := range ReachedAt(info, c.host).Addrs {
			got = append(got, a.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
