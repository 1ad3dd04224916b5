package p2p

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A dial to a peer with another key, or none, never ends in silence, which it does
// one time in three when nobody looks at the greeting.
func TestOtherKeysAreRecognized(t *testing.T) {
	member := start(t, Config{SwarmKey: testKey(t)})
	open := start(t, Config{})
	for range 12 {
		stranger := start(t, Config{SwarmKey: testKey(t)})
		for name, to := range map[string]peer.AddrInfo{"another key": member.info(), "none": open.info()} {
			if err := stranger.Connect(deadline(t), to); !errors.Is(err, ErrSwarmKey) || errors.Is(err, ErrSilent) {
				t.Errorf("a peer with %s: %v", name, err)
			} else {
				advises(t, err, "join that swarm with a token")
			}
		}
	}
	stranger := start(t, Config{})
	if err := stranger.Connect(deadline(t), member.info()); !errors.Is(err, ErrSwarmKey) {
		t.Errorf("a peer with a key, from one without: %v", err)
	}
}

func TestGreets(t *testing.T) {
	key := testKey(t)
	member, other, open := start(t, Config{SwarmKey: key}), start(t, Config{SwarmKey: testKey(t)}), start(t, Config{})
	says := func(what string) peer.AddrInfo {
		return accepts(t, func(c net.Conn) {
			_, _ = c.Write([]byte(what))
			silence(c)
		})
	}
	const long = "SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13.5 and so on and on\r\n"
	for name, c := range map[string]struct {
		by   *testMesh
		to   peer.AddrInfo
		want string // same, other, or unknown
	}{
		"a member":                   {member, start(t, Config{SwarmKey: key}).info(), "same"},
		"another key":                {member, other.info(), "other"},
		"no key":                     {member, open.info(), "other"},
		"no key, from one without":   {open, start(t, Config{}).info(), "same"},
		"a key, from one without":    {open, member.info(), "other"},
		"another protocol":           {member, says(long), "other"},
		"the same, from one without": {open, says(long), "other"},
		"silence":                    {member, says(""), "unknown"},
		"little":                     {member, says("hi"), "unknown"},
		"an end":                     {member, accepts(t, func(c net.Conn) { c.Close() }), "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.by.greets(t.Context(), c.to.Addrs[0])
			got := "unknown"
			var k *keyError
			switch {
			case err == nil:
				got = "same"
			case errors.As(err, &k):
				got = "other"
			}
			if got != c.want {
				t.Errorf("%s (%v), want %s", got, err, c.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := member.greets(ctx, other.info().Addrs[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
}
