package p2p

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// cameFrom is a connection of which only the far end matters.
type cameFrom struct{ remote multiaddr.Multiaddr }

func (c cameFrom) LocalMultiaddr() multiaddr.Multiaddr  { return c.remote }
func (c cameFrom) RemoteMultiaddr() multiaddr.Multiaddr { return c.remote }

func TestDoor(t *testing.T) {
	from := func(s string) cameFrom { return cameFrom{multiaddr.StringCast(s)} }
	d := newDoor()
	begin := time.Now()
	told := func(after time.Duration, want ...string) {
		t.Helper()
		var ips []string
		for _, ip := range d.strangers(begin.Add(after)) {
			ips = append(ips, ip.String())
		}
		if !slices.Equal(ips, want) {
			t.Errorf("after %v it tells of %v, want %v", after, ips, want)
		}
	}
	member, knock := from("/ip4/10.0.0.2/tcp/40000"), from("/ip4/10.0.0.2/tcp/40001")
	d.InterceptAccept(member)
	d.InterceptAccept(knock) // a member that only looks whether somebody listens
	d.InterceptSecured(0, "", member)
	d.InterceptAccept(from("/ip4/10.0.0.9/tcp/1"))
	d.InterceptAccept(from("/ip4/10.0.0.9/tcp/2"))
	d.InterceptAccept(from("/ip6/fd00::9/tcp/1"))
	d.InterceptAccept(from("/ip4/10.0.0.3/tcp/1"))
	d.InterceptSecured(0, "", from("/ip4/10.0.0.3/tcp/1235")) // this node dials it meanwhile

	told(time.Second) // they have time to show the key
	told(time.Minute, "10.0.0.9", "fd00::9")
	d.InterceptAccept(from("/ip4/10.0.0.9/tcp/3"))
	told(2 * time.Minute) // once is enough
	d.InterceptAccept(from("/ip4/10.0.0.9/tcp/4"))
	told(2*time.Hour, "10.0.0.9")
}

// Whoever can connect can make a door remember.
func TestDoorIsBounded(t *testing.T) {
	d := newDoor()
	for i := range 3 * maxAtDoor {
		c := cameFrom{multiaddr.StringCast(fmt.Sprintf("/ip4/10.1.%d.%d/tcp/1", i/256, i%256))}
		d.InterceptAccept(c)
		if i%2 == 0 {
			d.InterceptSecured(0, "", c)
		}
	}
	d.strangers(time.Now().Add(time.Hour))
	for i := range 2 * maxAtDoor {
		d.InterceptAccept(cameFrom{multiaddr.StringCast(fmt.Sprintf("/ip4/10.2.%d.%d/tcp/1", i/256, i%256))})
	}
	if n := len(d.strangers(time.Now().Add(time.Hour))); n == 0 || n > maxAtDoor {
		t.Errorf("it tells of %d strangers at once, at most %d fit", n, maxAtDoor)
	}
	if len(d.waiting) > maxAtDoor || len(d.members) > maxAtDoor || len(d.told) > maxAtDoor {
		t.Errorf("it remembers %d, %d and %d, at most %d fit", len(d.waiting), len(d.members), len(d.told), maxAtDoor)
	}
}

// A door sees what happens between real hosts: a member is none of the strangers.
func TestDoorOfAMesh(t *testing.T) {
	key := testKey(t)
	a := start(t, Config{SwarmKey: key, Labels: map[string]string{"n": "1"}})
	b := start(t, Config{SwarmKey: key, Labels: map[string]string{"n": "1"}, Bootstrap: []peer.AddrInfo{a.info()}})
	a.waitPeer(t, b.id())
	a.door.mu.Lock()
	defer a.door.mu.Unlock()
	if len(a.door.members) != 1 || len(a.door.waiting) != 0 {
		t.Errorf("after one member came: %d members, %d not yet", len(a.door.members), len(a.door.waiting))
	}
	if open := start(t, Config{}); open.door != nil {
		t.Error("an open swarm has a door")
	}
}
