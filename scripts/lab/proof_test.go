//go:build lab

package lab

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// TestCaptureSees has a host do on purpose all that a member must not, so that
// the tests in which nothing was seen prove something.
func TestCaptureSees(t *testing.T) {
	t.Parallel()
	l := newDualLAN(t)
	a, b, c := l.host("a"), l.host("b"), l.host("c")
	send := func(network, to string) {
		t.Helper()
		conn, err := a.dial(t.Context(), network, to)
		if err != nil {
			return // nobody is there; it was asked for all the same
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("probe"))
	}
	lines, frames := l.leaks(a, b)
	if len(lines) > 0 {
		t.Errorf("the kernel's own counts as sent to strangers:\n%s", strings.Join(lines, "\n"))
	}
	send("udp4", b.addr.String()+":9")
	if _, after := l.leaks(a, b); after[toMember] <= frames[toMember] || after[leak] != 0 {
		t.Errorf("after a packet to a member: %v", after)
	}

	quick, cancel := context.WithTimeout(t.Context(), patience/60)
	defer cancel()
	_, err := a.dial(quick, "tcp4", "198.51.100.7:80")
	if err == nil {
		t.Fatal("the router let a connection through")
	}
	send("udp4", "192.0.2.1:9")
	send("udp6", "[2001:db8::1]:9")
	send("udp4", router4+":53")
	send("udp4", "224.0.0.251:5353")
	send("udp6", "[ff02::fb%eth0]:5353")
	send("udp4", "10.0.0.99:9")           // nobody: the kernel asks who has it
	send("udp6", "[fd00::99]:9")          // likewise
	send("tcp4", c.addr.String()+":1235") // a stranger
	if err := a.joinGroups(); err != nil {
		t.Fatal(err)
	}
	// Names are asked of the router.
	if out := a.sh("cat /etc/resolv.conf"); out != "nameserver "+router4+"\n" {
		t.Errorf("resolv.conf: %q", out)
	}

	missing := []string{
		"TCP SYN to 198.51.100.7:80", "UDP to 192.0.2.1:9", "UDP to [2001:db8::1]:9", "UDP to 10.0.0.254:53", "UDP to 224.0.0.251:5353", "UDP to [ff02::fb]:5353",
		"ARP who-has to 10.0.0.99", "ICMPv6 135 to fd00::99", "TCP SYN to 10.0.0.3:1235",
		"joining 224.0.0.251", "joining ff02::fb",
	}
	var all string
	until(t, "the capture has seen every probe", func(context.Context) bool {
		lines, _ = l.leaks(a, b)
		all = strings.Join(lines, "\n")
		missing = slices.DeleteFunc(missing, func(want string) bool { return strings.Contains(all, want) })
		return len(missing) == 0
	})
	t.Logf("seen:\n%s", all)
}

// joinGroups joins the groups of mDNS for a moment, as a program does that only
// listens for it.
func (h *host) joinGroups() error {
	return within(h.netns, func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		four, err := net.ListenPacket("udp4", "0.0.0.0:0")
		if err != nil {
			return err
		}
		defer four.Close()
		if err := ipv4.NewPacketConn(four).JoinGroup(eth0, &net.UDPAddr{IP: net.ParseIP("224.0.0.251")}); err != nil {
			return err
		}
		six, err := net.ListenPacket("udp6", "[::]:0")
		if err != nil {
			return err
		}
		defer six.Close()
		return ipv6.NewPacketConn(six).JoinGroup(eth0, &net.UDPAddr{IP: net.ParseIP("ff02::fb")})
	})
}

// TestCaptureSeesANode has a node of a private swarm dial somebody who is not
// there: what it does then is what an isolation test has to catch.
func TestCaptureSeesANode(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	a := l.host("a")
	a.serve("node serve --private --initial").stop()
	if lines, _ := l.leaks(a); len(lines) > 0 {
		t.Fatalf("before: %v", lines)
	}
	n := a.serve("node serve --private --peer /ip4/203.0.113.5/tcp/1235/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN")
	n.until("dials the peer", func(context.Context) bool {
		lines, _ := l.leaks(a)
		return strings.Contains(strings.Join(lines, "\n"), "TCP SYN to 203.0.113.5:1235")
	})
}
