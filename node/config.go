package node

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// The ports that a node listens at unless it is told otherwise.
const (
	DefaultAPIPort = 1234 // HTTP: who are you, join
	DefaultP2PPort = 1235 // libp2p over TCP
)

// Config says what a node is to be. The zero value with a Home is a node alone
// on loopback, at the default ports.
type Config struct {
	Home    string // folder for everything the node keeps; made if it is not there
	Version string // what the node says its version is

	Private bool   // the swarm has a key; without one in Home, Initial or a way to join must give it
	Initial bool   // found a new private swarm: make its key unless Home has one
	Join    string // IP, IP:PORT or multiaddr of a member's HTTP API, to learn the key and peers from
	Token   string // what lets this node in there; Home/token is read if it is empty
	// Peers are multiaddrs of peers to know at first: with an ID (…/p2p/12D3…),
	// or of their HTTP API (/ip4/10.0.0.7/tcp/1234/http), which is asked for it.
	Peers []string
	// MDNS finds members on the local network, and lets them find this node. A node
	// that is to be found listens on every interface.
	MDNS bool

	// ShowCode shows a person the code with which this node can be let in, and for
	// how long: the node has no token and waits. It is called once, from another
	// goroutine. Without it a node that has no token is refused.
	ShowCode func(code string, life time.Duration)
	codeLife time.Duration // that a code is good for, in place of the constant; for tests

	Labels map[string]string // beside the automatic ones; they win over those that `node labels set` has kept in Home
	// LabelHostname tells all peers what this machine is called, in the label
	// hostname. Default no: it is nobody's business.
	LabelHostname bool
	// Mounts are folders of this machine that jobs may read in place, by the name
	// that jobs know them by: mount://NAME/PATH. Paths are absolute.
	Mounts map[string]string
	// AcceptFrom are the IDs of the peers whose jobs this node runs, beside its
	// own: jobs that were submitted to the node with that ID. In a private swarm an
	// empty list means everybody, in an open one nobody.
	AcceptFrom []string

	Listen []string // libp2p listen multiaddrs; default: TCP 1235 everywhere, or on loopback when alone
	API    string   // host:port of the HTTP API; default 1234 everywhere, or on loopback when alone

	// Patience is how long a fetch goes on without a single block coming in
	// before the data counts as missing. Default 30 s.
	Patience time.Duration

	MaxCPU    job.CPU   // what jobs may use together; default: every processor
	MaxMemory job.Bytes // default: half of the machine's memory
	// MaxStorage is how much the store may take of its disk before it collects
	// what nobody pinned; default: four fifths of what the disk can give it, when
	// the node starts or whenever that is more.
	MaxStorage job.Bytes

	// Clock is the wall clock: what the expiry of tokens is held against, and what
	// doctor compares with that of the peers. Nothing else in a node depends on its
	// being right. Default time.Now. Called from any goroutine.
	Clock func() time.Time
}

// now is the wall clock's time.
func (c Config) now() time.Time {
	if c.Clock != nil {
		return c.Clock()
	}
	return time.Now()
}

// check refuses what cannot be meant, before anything is touched.
func (c Config) check() error {
	if c.Home == "" {
		return errors.New("no home folder is set: give --home DIR or set SHOAL_HOME")
	}
	if c.Initial && !c.Private {
		return errors.New("--initial founds a private swarm and needs --private as well: node serve --private --initial")
	}
	if c.Initial && (c.Join != "" || len(c.Peers) > 0) {
		return errors.New("--initial founds a new swarm, --join and --peer enter one that exists: give one or the other")
	}
	if _, err := c.contacts(); err != nil {
		return err
	}
	for _, l := range c.Listen {
		if _, err := multiaddr.NewMultiaddr(l); err != nil {
			return fmt.Errorf("--listen %q is no multiaddr (%w): write it like /ip4/0.0.0.0/tcp/1235", l, err)
		}
	}
	if c.API != "" {
		if _, port, err := net.SplitHostPort(c.API); err != nil {
			return fmt.Errorf("--api %q is no host:port (%w): write it like 0.0.0.0:1234", c.API, err)
		} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("--api %q: %q is no port number", c.API, port)
		}
	}
	for k, v := range c.Labels {
		if err := checkLabel(k, v); err != nil {
			return fmt.Errorf("--label %s=%s: %w", k, v, err)
		}
	}
	if err := errors.Join(c.checkMounts(), c.checkAccept()); err != nil {
		return err
	}
	if c.MaxCPU < 0 || c.MaxMemory < 0 || c.MaxStorage < 0 {
		return errors.New("--max-cpu, --max-memory and --max-storage cannot be negative")
	}
	return nil
}

// contacts are the peers to ask or dial first, Join before Peers.
func (c Config) contacts() ([]p2p.Contact, error) {
	var out []p2p.Contact
	if c.Join != "" {
		contact, err := p2p.ParseContact(c.Join)
		if err != nil {
			return nil, fmt.Errorf("--join %q: %w", c.Join, err)
		}
		out = append(out, contact)
	}
	for _, s := range c.Peers {
		contact, err := p2p.ParseContact(s)
		if err != nil {
			return nil, fmt.Errorf("--peer %q: %w", s, err)
		}
		out = append(out, contact)
	}
	return out, nil
}

// withDefaults fills in what was left open. A node that is alone listens on
// loopback only: nobody asked for it to be reachable.
func (c Config) withDefaults(alone bool) Config {
	host, ma := "0.0.0.0", "/ip4/0.0.0.0"
	if alone {
		host, ma = "127.0.0.1", "/ip4/127.0.0.1"
	}
	if c.API == "" {
		c.API = net.JoinHostPort(host, strconv.Itoa(DefaultAPIPort))
	}
	if len(c.Listen) == 0 {
		c.Listen = []string{fmt.Sprintf("%s/tcp/%d", ma, DefaultP2PPort)}
	}
	if c.MaxCPU == 0 {
		c.MaxCPU = job.CPU(runtime.NumCPU()) * 1000
	}
	if c.MaxMemory == 0 {
		c.MaxMemory = machineMemory() / 2
	}
	if c.Version == "" {
		c.Version = "devel"
	}
	return c
}

func (c Config) room() job.Room { return job.Room{CPU: c.MaxCPU, Memory: c.MaxMemory} }
