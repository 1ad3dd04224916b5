package p2p

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/zap"
)

const insideVar = "SHOAL_TEST_NAMESPACE"

// inNamespace runs the rest of a test in a network namespace of its own, in which
// the one interface with an address, besides loopback, has 10.83.0.1, and does
// multicast. It returns true in there.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVar) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
		cmd.Env = append(os.Environ(), insideVar+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		if os.Getuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		}
		if _, err := exec.LookPath("ip"); err != nil {
			t.Skip("needs the command ip, of iproute2")
		}
		out, err := cmd.CombinedOutput()
		if err != nil && cmd.Process == nil {
			t.Skipf("needs root, or user namespaces, to make a network namespace: %v", err)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return false
	}
	for _, args := range []string{"link set lo up", "link add shoal0 type veth peer name shoal1", "link set shoal1 up", "addr add 10.83.0.1/24 dev shoal0", "link set shoal0 up multicast on",
		"route add 224.0.0.0/4 dev shoal0"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
	return true
}

// far is the address in the namespace that is not loopback's, with a free port.
func far() []multiaddr.Multiaddr {
	return []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/10.83.0.1/tcp/0")}
}

// libp2p lets 8 connections come from one address, except from loopback, where all
// other tests are.
func TestHundredHostsShareAnAddress(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	m := startLogged(t, Config{SwarmKey: testKey(t), Listen: far()}, zap.NewNop())
	for n := range 120 {
		h := insider(t, m)
		c := h.Network().ConnsToPeer(m.id())
		if len(c) == 0 || !strings.HasPrefix(c[0].LocalMultiaddr().String(), "/ip4/10.83.0.1/") {
			t.Fatalf("connection %d is %v", n, c)
		}
		s, err := h.NewStream(deadline(t), m.id(), helloProtocol) // it is served, not only taken
		if err != nil {
			t.Fatalf("connection %d: %v", n, err)
		}
		if err := sendAnnouncement(s, announcement{Version: announcementVersion, Type: announcementType, Boot: 1, Seq: 1, Labels: some}); err != nil {
			t.Fatalf("connection %d: %v", n, err)
		}
		s.CloseWrite()
		if _, err := readFrame(s, announcementLimit); err != nil {
			t.Fatalf("connection %d: %v", n, err)
		}
		s.Reset()
	}
	if n := len(m.Host().Network().Peers()); n != 120 {
		t.Errorf("%d hosts are connected", n)
	}
	if n := len(m.Roster().Peers()); n != 121 {
		t.Errorf("%d peers in the roster", n)
	}
}

// Members find each other on the local network with no address given, and a node
// with another key finds nobody.
func TestMDNS(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	key := testKey(t)
	stranger := startLogged(t, Config{SwarmKey: testKey(t), Listen: far(), MDNS: true, Labels: some}, zap.NewNop())
	open := startLogged(t, Config{Listen: far(), MDNS: true, Labels: some}, zap.NewNop())
	a := startLogged(t, Config{SwarmKey: key, Listen: far(), MDNS: true, Labels: some}, zap.NewNop())
	b := startLogged(t, Config{SwarmKey: key, Listen: far(), MDNS: true, Labels: some}, zap.NewNop())
	waitFull(t, a, b)
	for _, m := range []*testMesh{stranger, open} {
		for _, other := range []*testMesh{a, b} {
			if m.Host().Network().Connectedness(other.id()) == network.Connected || len(m.Host().Peerstore().Addrs(other.id())) > 0 {
				t.Error("a stranger has found a member")
			}
		}
	}
}

func TestMDNSServiceNames(t *testing.T) {
	key := testKey(t)
	names := map[string]bool{}
	for _, cfg := range []Config{{}, {SwarmKey: key}, {SwarmKey: key}, {SwarmKey: testKey(t)}} {
		m := start(t, cfg)
		name := m.mdnsService()
		names[name] = true
		service, _, ok := strings.Cut(name, ".")
		if !ok || len(service) > 16 {
			t.Errorf("service %q", name)
		}
		if k := cfg.SwarmKey; k != nil && (strings.Contains(k.Fingerprint(), service[1:]) || strings.Contains(service, k.Fingerprint()[:4])) {
			t.Errorf("service %q tells of swarm %s", name, k.Fingerprint())
		}
	}
	if len(names) != 3 {
		t.Errorf("%d names for three swarms", len(names))
	}
}

// What is found is dialled like any other hint, and this node is not.
func TestMDNSFindsHints(t *testing.T) {
	m, err := New(Config{Identity: testIdentity(t), SwarmKey: testKey(t)}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	other := start(t, Config{SwarmKey: testKey(t)}).info()
	nearby{m}.HandlePeerFound(peer.AddrInfo{ID: m.host.ID(), Addrs: other.Addrs})
	nearby{m}.HandlePeerFound(other)
	if h := <-m.found; h.ID != other.ID || h.first || len(m.found) != 0 {
		t.Errorf("hint %+v, and %d more", h, len(m.found))
	}
}
