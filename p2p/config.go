package p2p

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/multiformats/go-multiaddr"
)

// Config says what a Mesh is to be. Only Identity is required.
type Config struct {
	Identity crypto.PrivKey // Ed25519, see LoadIdentity

	// SwarmKey makes the swarm private; nil means an open one.
	SwarmKey *SwarmKey

	// Listen are the addresses to listen on, every one of which must work.
	// Default: a free TCP port on loopback. In a private swarm they must be TCP.
	Listen []multiaddr.Multiaddr

	// Loopback announces loopback addresses beside others. Without it they are
	// announced only if there are no others, as elsewhere they lead nowhere.
	Loopback bool

	Bootstrap []peer.AddrInfo // peers to be connected to, tried for ever

	// KnownFile keeps the peers that were met, so that a restart finds the swarm
	// with no bootstrap peer alive. Empty: they are forgotten.
	KnownFile string

	Labels  map[string]string // what to announce at first; see Mesh.Announce
	Ledgers []string

	// Boot tells this process from earlier ones of the same identity: it must be
	// another at each start. 0 has one made at random.
	Boot uint64

	// Silence is how long a peer may give no sign of life before it is taken for
	// gone, when nothing else tells. Default 15 s: three unanswered pings.
	Silence time.Duration

	// MDNS looks for members on the local network by multicast DNS, and lets them
	// find this node. Everybody there hears this node's addresses and peer ID,
	// though not which swarm it is in.
	MDNS bool

	trim trim // zero: as in a real swarm
}

// trim says when connections are closed that the roster does not protect.
type trim struct {
	low, high int           // so many of them are left once there are more than high of all
	grace     time.Duration // in which a new one is left alone
}

const (
	defaultSilence = 15 * time.Second
	minSilence     = 300 * time.Millisecond
	announceEvery  = 30 * time.Second
)

// checked fills defaults in and refuses what cannot work.
func (c Config) checked() (Config, error) {
	if c.Identity == nil {
		return c, errors.New("p2p: Config.Identity is missing")
	}
	if c.SwarmKey != nil && *c.SwarmKey == (SwarmKey{}) {
		return c, errors.New("p2p: the swarm key is all zero: load it with LoadSwarmKey, or make one with NewSwarmKey")
	}
	if c.SwarmKey == nil && pnet.ForcePrivateNetwork {
		return c, errors.New("this process may only join private swarms (LIBP2P_FORCE_PNET=1), and there is no swarm key: use --private, or unset it")
	}
	if len(c.Listen) == 0 {
		c.Listen = []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/0")}
	}
	for _, a := range c.Listen {
		if c.SwarmKey != nil && !plainTCP(a) {
			return c, fmt.Errorf("cannot listen on %s: a private swarm uses TCP only, as its key cannot protect anything else; give an address like /ip4/0.0.0.0/tcp/1235", a)
		}
	}
	if err := checkSaid(c.Labels, c.Ledgers); err != nil {
		return c, err
	}
	if c.Boot == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return c, fmt.Errorf("making a boot ID: %w", err)
		}
		c.Boot = binary.BigEndian.Uint64(b[:]) | 1
	}
	if c.trim == (trim{}) {
		c.trim = trim{lowConns, highConns, time.Minute}
	}
	if c.Silence == 0 {
		c.Silence = defaultSilence
	}
	if c.Silence < minSilence {
		return c, fmt.Errorf("p2p: Config.Silence of %s is below %s", c.Silence, minSilence)
	}
	return c, nil
}

// plainTCP is true for IP/tcp/PORT and nothing more.
func plainTCP(a multiaddr.Multiaddr) bool {
	if len(a) != 2 || a[1].Code() != multiaddr.P_TCP {
		return false
	}
	return a[0].Code() == multiaddr.P_IP4 || a[0].Code() == multiaddr.P_IP6
}
