//go:build lab

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// lan is a network of hosts around one bridge. The bridge's namespace is also
// every host's router and DNS server. It forwards nothing and answers no question:
// what is sent there was sent away, and is seen.
type lan struct {
	*testing.T
	*capture
	name  string // prefix of the namespaces
	dir   string // with a folder for each host
	ipv6  bool
	hosts []*host
}

const (
	router4 = "10.0.0.254"
	router6 = "fd00::fe"
)

var lans atomic.Int64

// newLAN makes a network without IPv6, newDualLAN one with both.
func newLAN(t *testing.T) *lan     { return makeLAN(t, false) }
func newDualLAN(t *testing.T) *lan { return makeLAN(t, true) }

func makeLAN(t *testing.T, ipv6 bool) *lan {
	t.Helper()
	l := &lan{T: t, ipv6: ipv6, name: fmt.Sprintf("%s%d-", prefix(), lans.Add(1))}
	var err error
	// A short path: a node's socket lies in its home, and may not have a long one.
	if l.dir, err = os.MkdirTemp("", l.name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(l.dir) })
	l.addNetns(l.hub())
	l.ip("-n", l.hub(), "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
	l.ip("-n", l.hub(), "addr", "add", router4+"/24", "dev", "br0")
	if ipv6 {
		l.ip("-n", l.hub(), "addr", "add", router6+"/64", "dev", "br0", "nodad")
	}
	l.ip("-n", l.hub(), "link", "set", "br0", "up")
	if l.capture, err = newCapture(l.hub()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.capture.close() })
	return l
}

func (l *lan) hub() string { return l.name + "lan" }

func (l *lan) ip(args ...string) {
	l.Helper()
	if err := ip(args...); err != nil {
		l.Fatal(err)
	}
}

// addNetns makes a namespace that goes with the test.
func (l *lan) addNetns(name string) {
	l.Helper()
	l.ip("netns", "add", name)
	l.Cleanup(func() {
		if err := removeNetns(name); err != nil {
			l.Error(err)
		}
	})
	if !l.ipv6 {
		for _, which := range []string{"all", "default"} {
			err := within(name, func() error {
				return os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0)
			})
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6
				l.Fatal(err)
			}
		}
	}
	l.ip("-n", name, "link", "set", "lo", "up")
}

// host is a machine on the LAN.
type host struct {
	*lan
	name  string
	netns string
	dir   string // where commands run; SHOAL_HOME and IPFS_PATH are in it
	addr  netip.Addr
	addr6 netip.Addr // only on a dual LAN
}

// host adds a machine: the first has 10.0.0.1 (fd00::1), the second 10.0.0.2…
func (l *lan) host(name string) *host {
	l.Helper()
	n := len(l.hosts) + 1
	h := &host{lan: l, name: name, netns: l.name + name, dir: filepath.Join(l.dir, name),
		addr: netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", n))}
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		l.Fatal(err)
	}
	h.resolvConf()
	l.addNetns(h.netns)
	port := "to-" + name
	l.ip("link", "add", "eth0", "netns", h.netns, "type", "veth", "peer", "name", port, "netns", l.hub())
	l.ip("-n", l.hub(), "link", "set", port, "master", "br0", "up")
	var index int
	if err := within(l.hub(), func() error {
		i, err := net.InterfaceByName(port)
		if err == nil {
			index = i.Index
		}
		return err
	}); err != nil {
		l.Fatal(err)
	}
	l.capture.watch(index, h)
	l.ip("-n", h.netns, "addr", "add", h.addr.String()+"/24", "dev", "eth0")
	if l.ipv6 {
		h.addr6 = netip.MustParseAddr(fmt.Sprintf("fd00::%x", n))
		l.ip("-n", h.netns, "addr", "add", h.addr6.String()+"/64", "dev", "eth0")
	}
	l.ip("-n", h.netns, "link", "set", "eth0", "up")
	l.ip("-n", h.netns, "route", "add", "default", "via", router4)
	if l.ipv6 {
		l.ip("-n", h.netns, "-6", "route", "add", "default", "via", router6)
	}
	l.hosts = append(l.hosts, h)
	return h
}

// resolvConf makes the router the host's name server.
func (h *host) resolvConf() {
	h.Helper()
	dir := filepath.Join(etcDir, h.netns)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "resolv.conf"), []byte("nameserver "+router4+"\n"), 0o644); err != nil {
		h.Fatal(err)
	}
}

// write writes a file in the host's folder.
func (h *host) write(name, content string) {
	h.Helper()
	file := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.TrimPrefix(content, "\n")), 0o644); err != nil {
		h.Fatal(err)
	}
}
