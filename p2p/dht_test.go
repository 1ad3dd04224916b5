package p2p

import (
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/protocol"
)

func TestDHTThatIsSpoken(t *testing.T) {
	const own, lan, public protocol.ID = "/shoal/kad/1.0.0", "/ipfs/lan/kad/1.0.0", "/ipfs/kad/1.0.0"
	for _, c := range []struct {
		what string
		key  *SwarmKey
		want protocol.ID
	}{
		{"open", nil, own},           // no IPFS node on the LAN is in it by accident
		{"private", testKey(t), lan}, // a Kubo that has the key is in it
	} {
		spoken := start(t, Config{SwarmKey: c.key}).Host().Mux().Protocols()
		for _, p := range []protocol.ID{own, lan, public} {
			if slices.Contains(spoken, p) != (p == c.want) {
				t.Errorf("the host of the %s swarm speaks %v, want of the DHTs %s alone", c.what, spoken, c.want)
			}
		}
	}
}
