package p2p

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/test"
	"github.com/multiformats/go-multiaddr"
)

// Loopback is exempt from libp2p's limits per address, so no test of real hosts
// would notice them; a site of a hundred nodes behind one address would.
func TestHundredPeersShareAnAddress(t *testing.T) {
	for _, addr := range []string{"/ip4/10.0.0.7/tcp/1235", "/ip6/fd00::7/tcp/1235"} {
		limits, err := newLimits()
		if err != nil {
			t.Fatal(err)
		}
		for i := range 200 { // two connections each, when both dial
			c, err := limits.OpenConnection(network.DirInbound, true, multiaddr.StringCast(addr))
			if err != nil {
				t.Fatalf("connection %d from %s: %v", i, addr, err)
			}
			if err := c.SetPeer(test.RandPeerIDFatal(t)); err != nil {
				t.Fatalf("connection %d from %s: %v", i, addr, err)
			}
		}
		limits.Close()
	}
}

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	sizes := []int{0, 1, 64 << 10, 64<<10 + 1, 1 << 20}
	for _, n := range sizes {
		if err := writeFrame(&b, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	whole := bytes.Clone(b.Bytes())
	for _, n := range sizes {
		if got, err := readFrame(&b, 1<<20); err != nil || len(got) != n {
			t.Errorf("%d bytes, %v; want %d", len(got), err, n)
		}
	}
	if _, err := readFrame(&b, 1); err != io.EOF {
		t.Errorf("at the end: %v; want io.EOF", err)
	}
	for name, bad := range map[string][]byte{
		"cut head": {0, 0}, "cut frame": {0, 0, 0, 9, 1}, "cut long frame": whole[len(whole)-1<<20-frameHead : len(whole)-1],
	} {
		if _, err := readFrame(bytes.NewReader(bad), 1<<20); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v; want io.ErrUnexpectedEOF", name, err)
		}
	}
	if _, err := readFrame(bytes.NewReader([]byte{0, 0, 0, 9}), 8); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("beyond the limit: %v", err)
	}
}

func FuzzAdmit(f *testing.F) {
	key := SwarmKey{1}
	public := tokenPublic{swarm: key.fingerprint(), expiry: 2_000_000_000}
	f.Add(append(public.encode(), make([]byte, 80)...))
	f.Add([]byte{tokenVersion})
	c := joinCase{now: time.Unix(1_800_000_000, 0)}
	f.Fuzz(func(t *testing.T, msg []byte) {
		if reply, _, err := Admit(key, c.member, c.now, msg); err == nil || reply != nil {
			t.Errorf("%x was admitted", msg)
		}
	})
}
