package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
)

// membership is which swarm a node belongs to and whom it can dial first.
type membership struct {
	key   *p2p.SwarmKey // nil in an open swarm
	first []peer.AddrInfo
	later []p2p.Contact // HTTP addresses of members that have not answered yet, to be asked again
	near  bool          // others on the local network are to find it
}

// alone reports whether nobody else is meant to find this node.
func (m *membership) alone() bool {
	return m.key == nil && len(m.first) == 0 && len(m.later) == 0 && !m.near
}

// entry is what a membership is settled with.
type entry struct {
	Config
	home  *home
	self  peer.ID
	token string                // "" if the operator has given none
	plea  func() (*plea, error) // makes it once
	log   *zap.Logger
}

// private reports whether the operator means a private swarm. A token or --join
// says so as well as --private: whoever answers at an address must not be able
// to talk a node into an open swarm, where it would run the jobs of strangers.
func (e entry) private() bool { return e.Private || e.Join != "" || e.token != "" }

func newEntry(cfg Config, h *home, identity crypto.PrivKey, log *zap.Logger) (e entry, err error) {
	e = entry{Config: cfg, home: h, token: cfg.Token, log: log}
	if e.self, err = peer.IDFromPrivateKey(identity); err != nil {
		return e, fmt.Errorf("derive the peer ID: %w", err)
	}
	e.plea = sync.OnceValues(func() (*plea, error) { return newPlea(e.self, cmp.Or(cfg.codeLife, codeLife), cfg.ShowCode) })
	if e.token == "" {
		e.token, err = h.token()
	}
	return e, err
}

// enter settles the membership: the key that the home has, a new one, or one
// that a member hands over for a token or a code; and the peers that were named.
// A node that can begin without them does so; another waits for the first that
// lets it in, for as long as it takes.
func (e entry) enter(ctx context.Context) (m membership, err error) {
	m.near = e.MDNS
	if m.key, err = e.key(); err != nil {
		return m, err
	}
	contacts, err := e.contacts()
	if err != nil {
		return m, err
	}
	for _, c := range contacts {
		if c.Info != nil {
			m.first = append(m.first, *c.Info)
		} else {
			m.later = append(m.later, c)
		}
	}
	if m.key == nil && e.private() {
		if err := e.canJoin(&m); err != nil {
			return m, err
		}
	}
	return m, e.search(ctx, &m)
}

// canJoin refuses what cannot lead into a private swarm, before anybody is asked.
func (e entry) canJoin(m *membership) error {
	switch {
	case len(m.later) == 0 && len(m.first) > 0:
		return api.Errorf(api.CodeInvalid, "the key of a private swarm is had at a member's HTTP address, and none was given: name one with --join IP, or --peer /ip4/IP/tcp/1234/http")
	case len(m.later) == 0:
		return api.Errorf(api.CodeInvalid, "a private swarm needs its key and home %s has none: found a swarm with `node serve --private --initial`, "+
			"or join one with the line that `node token create` prints at a member, or with --join IP alone, to be let in with a code", e.home.dir)
	case e.token == "":
		return nil
	}
	_, _, err := p2p.Ask(e.token, e.self, e.now())
	return apiError(err)
}

// firstLook is how long a node that can begin without them waits for the members
// that were named to answer.
const firstLook = time.Second

// outcome is what came of asking one member.
type outcome struct {
	at p2p.Contact
	found
	err error
}

// search asks all members at m.later side by side until the first has answered,
// moves what it told into m, and leaves the others there.
func (e entry) search(ctx context.Context, m *membership) error {
	if len(m.later) == 0 {
		return nil
	}
	outcomes := make(chan outcome, len(m.later))
	var asking sync.WaitGroup
	defer asking.Wait()
	searching, enough := context.WithCancel(ctx)
	defer enough()
	key := m.key // changes below, while the last of them still ask
	for _, c := range m.later {
		asking.Go(func() {
			f, err := patiently(searching, e.log, c.URL, func() (found, error) { return e.ask(searching, c, key) })
			outcomes <- outcome{c, f, err}
		})
	}
	var look <-chan time.Time // never, for a node that needs a member to begin
	if m.key != nil || !e.private() {
		timer := time.NewTimer(firstLook)
		defer timer.Stop()
		look = timer.C
	}
	var refused []outcome
	for len(m.later) > 0 {
		select {
		case o := <-outcomes:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			m.later = slices.DeleteFunc(m.later, func(c p2p.Contact) bool { return c == o.at })
			if o.err == nil {
				e.complain(refused)
				return e.admitted(m, o.found)
			}
			if errors.Is(o.err, errNobody) {
				return o.err
			}
			refused = append(refused, o)
		case <-look:
			e.complain(refused)
			return nil
		}
	}
	if len(m.first) > 0 && (m.key != nil || !e.private()) {
		e.complain(refused)
		return nil
	}
	var errs []error
	for _, o := range refused {
		errs = append(errs, o.err)
	}
	return errors.Join(errs...)
}

// complain logs which members cannot be used, where others can.
func (e entry) complain(refused []outcome) {
	for _, o := range refused {
		e.log.Error("a member that was named cannot be used", zap.String("at", o.at.URL), zap.Error(o.err))
	}
}

// admitted takes what a member told. A new key is kept in the home.
func (e entry) admitted(m *membership, f found) error {
	m.first = append(m.first, f.peers...)
	if m.key == nil && f.key != nil {
		if err := f.key.Save(e.home.path("swarm.key")); err != nil {
			return err
		}
		e.log.Info("joined the swarm", zap.String("swarm", f.key.Fingerprint()))
	}
	m.key = f.key
	return nil
}

// key is the one that the home has, or a new one if a swarm is to be founded,
// or nil.
func (e entry) key() (*p2p.SwarmKey, error) {
	file := e.home.path("swarm.key")
	key, err := p2p.LoadSwarmKey(file)
	if errors.Is(err, fs.ErrNotExist) {
		if !e.Initial {
			return nil, nil
		}
		if key, err = p2p.NewSwarmKey(); err == nil {
			err = key.Save(file)
		}
	}
	if err != nil {
		return nil, err
	}
	return &key, nil
}
