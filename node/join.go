package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
)

// membership is which swarm a node belongs to and whom it can dial first.
type membership struct {
	key   *p2p.SwarmKey // nil in an open swarm
	first []peer.AddrInfo
	later []string // URLs of members that did not answer, to be asked again
}

// alone reports whether nobody else is meant to find this node.
func (m *membership) alone() bool { return m.key == nil && len(m.first) == 0 }

// entry is what a membership is settled with.
type entry struct {
	Config
	home     *home
	identity crypto.PrivKey
	token    string // "" if the operator has given none
}

// private reports whether the operator means a private swarm. A token or --join
// says so as well as --private: whoever answers at an address must not be able
// to talk a node into an open swarm, where it would run the jobs of strangers.
func (e entry) private() bool { return e.Private || e.Join != "" || e.token != "" }

func newEntry(cfg Config, h *home, identity crypto.PrivKey) (e entry, err error) {
	e = entry{Config: cfg, home: h, identity: identity, token: cfg.Token}
	if e.token == "" {
		e.token, err = h.token()
	}
	return e, err
}

// enter settles the membership: the key that the home has, a new one, or one
// that a member hands over for a token; and the peers that were named.
func (e entry) enter(ctx context.Context) (m membership, err error) {
	if m.key, err = e.key(); err != nil {
		return m, err
	}
	contacts, err := e.contacts()
	if err != nil {
		return m, err
	}
	var silent error
	for _, c := range contacts {
		if c.Info != nil {
			m.first = append(m.first, *c.Info)
			continue
		}
		switch err := m.ask(ctx, e, c.URL); {
		case away(err):
			m.later, silent = append(m.later, c.URL), errors.Join(silent, err)
		case err != nil:
			return m, err
		}
	}
	switch {
	case silent != nil && m.key == nil && len(m.first) == 0:
		return m, silent // with a key, or another contact, it is enough to ask again later
	case m.key == nil && e.token != "" && len(m.first) > 0:
		return m, api.Errorf(api.CodeInvalid, "a token is exchanged at a member's HTTP address, and none was given that answers: name one with --join IP, or --peer /ip4/IP/tcp/1234/http")
	case e.private() && m.key == nil:
		return m, api.Errorf(api.CodeInvalid, "a private swarm needs its key and home %s has none: found a swarm with `node serve --private --initial`, "+
			"or join one with the line that `node token create` prints at a member", e.home.dir)
	}
	return m, nil
}

// away reports whether the error says that nobody answered, which may change.
func away(err error) bool {
	return api.CodeOf(err) == api.CodeUnreachable || api.CodeOf(err) == api.CodeTimeout
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

// ask learns from the HTTP API of a member who it is and, with a token, the
// swarm's key.
func (m *membership) ask(ctx context.Context, e entry, at string) error {
	id, err := api.FetchID(ctx, at)
	if err != nil {
		return err
	}
	info, err := addrInfo(id, at)
	if err != nil {
		return err
	}
	switch {
	case !id.Private && (m.key != nil || e.private()):
		return api.Errorf(api.CodeInvalid, "%s says that it is in an open swarm, and this node is to be in a private one: check the address, "+
			"or start without --private, --join and token, and with a --home of its own, to be in an open one", at)
	case id.Private && m.key != nil && id.Swarm != m.key.Fingerprint():
		return api.Errorf(api.CodeInvalid, "%s is in swarm %s and home %s belongs to swarm %s: give this node another --home to join there", at, id.Swarm, e.home.dir, m.key.Fingerprint())
	case id.Private && m.key == nil:
		if err := m.admit(ctx, e, at, info.ID); err != nil {
			return err
		}
	}
	m.first = append(m.first, info)
	return nil
}

// reach goes on asking the members that did not answer at the start, until each
// has, or ctx ends. With one of them this node knows the swarm; with others too
// it heals one that was cut.
func (m *membership) reach(ctx context.Context, e entry, mesh *p2p.Mesh, log *zap.Logger) error {
	var g errgroup.Group
	for _, at := range m.later {
		g.Go(func() error {
			_, err := backoff.Retry(ctx, func() (struct{}, error) {
				found := membership{key: m.key}
				if err := found.ask(ctx, e, at); away(err) {
					return struct{}{}, err
				} else if err != nil {
					log.Error("a member that was named cannot be used", zap.String("at", at), zap.Error(err))
					return struct{}{}, nil
				}
				return struct{}{}, mesh.Connect(ctx, found.first[0])
			}, backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, again time.Duration) {
				log.Warn("a member does not answer yet, trying on", zap.String("at", at), zap.Duration("again in", again.Round(time.Second)), zap.Error(err))
			}))
			return ended(ctx, err)
		})
	}
	return g.Wait()
}

// admit exchanges the token for the swarm's key and keeps it in the home.
func (m *membership) admit(ctx context.Context, e entry, at string, member peer.ID) error {
	if e.token == "" {
		return api.Errorf(api.CodeInvalid, "%s is in a private swarm, which needs a token: run `node token create` at a member and use the line that it prints, "+
			"set SHOAL_TOKEN, or write the token to %s", at, e.home.path("token"))
	}
	self, err := peer.IDFromPrivateKey(e.identity)
	if err != nil {
		return fmt.Errorf("derive the peer ID: %w", err)
	}
	msg, finish, err := p2p.Ask(e.token, self, e.now())
	if err != nil {
		return apiError(err)
	}
	reply, err := api.Join(ctx, at, msg)
	if err != nil {
		return fmt.Errorf("join at %s: %w", at, err)
	}
	admission, err := finish(reply)
	if err != nil {
		return fmt.Errorf("join at %s: %w", at, apiError(err))
	}
	if admission.Member.ID != member {
		return fmt.Errorf("join at %s: it says that it is peer %s and proved to be %s; somebody may be in between", at, member, admission.Member.ID)
	}
	if err := admission.Key.Save(e.home.path("swarm.key")); err != nil {
		return err
	}
	m.key = &admission.Key
	return nil
}

// addrInfo is where to dial the peer that answered at the URL: the address at
// which it was just reached, which is known to work, then its own.
func addrInfo(id api.ID, at string) (peer.AddrInfo, error) {
	p, err := peer.Decode(id.Peer)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("%s names itself %q, which is no peer ID: %w", at, id.Peer, err)
	}
	info := peer.AddrInfo{ID: p}
	for _, s := range id.Addrs {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return info, fmt.Errorf("%s gives the address %q, which is no multiaddr: %w", at, s, err)
		}
		if a, _ = peer.SplitAddr(a); a != nil {
			info.Addrs = append(info.Addrs, a)
		}
	}
	if len(info.Addrs) == 0 {
		return info, fmt.Errorf("%s lists no address at which it can be reached", at)
	}
	u, err := url.Parse(at)
	if err != nil {
		return info, fmt.Errorf("parse %q: %w", at, err)
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		info = p2p.ReachedAt(info, ip)
	}
	return info, nil
}
