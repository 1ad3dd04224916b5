package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
)

// membership is which swarm a node belongs to and whom it can dial first.
type membership struct {
	key   *p2p.SwarmKey // nil in an open swarm
	first []peer.AddrInfo
}

// enter settles the membership: the key that the home has, a new one, or one
// that a member hands over for a token; and the peers that were named.
func enter(ctx context.Context, cfg Config, h *home, identity crypto.PrivKey) (membership, error) {
	var m membership
	keyFile := h.path("swarm.key")
	switch key, err := p2p.LoadSwarmKey(keyFile); {
	case err == nil:
		m.key = &key
	case !errors.Is(err, fs.ErrNotExist):
		return m, err
	case cfg.Initial:
		key, err := p2p.NewSwarmKey()
		if err != nil {
			return m, err
		}
		if err := key.Save(keyFile); err != nil {
			return m, err
		}
		m.key = &key
	}
	contacts, err := cfg.contacts()
	if err != nil {
		return m, err
	}
	var failed error
	for _, c := range contacts {
		if c.Info != nil {
			m.first = append(m.first, *c.Info)
			continue
		}
		if err := m.ask(ctx, cfg, h, identity, c.URL); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	switch {
	case failed != nil && (m.key == nil || len(m.first) == 0) && len(contacts) > 0:
		return m, failed
	case cfg.Private && m.key == nil:
		return m, fmt.Errorf("a private swarm needs its key and home %s has none: found a swarm with `node serve --private --initial`, "+
			"or join one with the line that `node token create` prints at a member", h.dir)
	}
	return m, nil
}

// ask learns from the HTTP API of a member who it is and, with a token, the
// swarm's key.
func (m *membership) ask(ctx context.Context, cfg Config, h *home, identity crypto.PrivKey, at string) error {
	id, err := api.FetchID(ctx, at)
	if err != nil {
		return err
	}
	info, err := addrInfo(id, at)
	if err != nil {
		return err
	}
	switch {
	case !id.Private && (m.key != nil || cfg.Private):
		return fmt.Errorf("%s is in an open swarm and this node is to be in a private one: name a member of the private swarm, or give this node another --home", at)
	case id.Private && m.key != nil && id.Swarm != m.key.Fingerprint():
		return fmt.Errorf("%s is in swarm %s and home %s belongs to swarm %s: give this node another --home to join there", at, id.Swarm, h.dir, m.key.Fingerprint())
	case id.Private && m.key == nil:
		if err := m.admit(ctx, cfg, h, identity, at, info.ID); err != nil {
			return err
		}
	}
	m.first = append(m.first, info)
	return nil
}

// admit exchanges the token for the swarm's key and keeps it in the home.
func (m *membership) admit(ctx context.Context, cfg Config, h *home, identity crypto.PrivKey, at string, member peer.ID) error {
	token := cfg.Token
	if token == "" {
		var err error
		if token, err = h.token(); err != nil {
			return err
		}
	}
	if token == "" {
		return fmt.Errorf("%s is in a private swarm, which needs a token: run `node token create` at a member and use the line that it prints, "+
			"set SHOAL_TOKEN, or write the token to %s", at, h.path("token"))
	}
	self, err := peer.IDFromPrivateKey(identity)
	if err != nil {
		return fmt.Errorf("derive the peer ID: %w", err)
	}
	msg, finish, err := p2p.Ask(token, self, time.Now())
	if err != nil {
		return err
	}
	reply, err := api.Join(ctx, at, msg)
	if err != nil {
		return fmt.Errorf("join at %s: %w", at, err)
	}
	admission, err := finish(reply)
	if err != nil {
		return fmt.Errorf("join at %s: %w", at, err)
	}
	if admission.Member.ID != member {
		return fmt.Errorf("join at %s: it says that it is peer %s and proved to be %s; somebody may be in between", at, member, admission.Member.ID)
	}
	if err := admission.Key.Save(h.path("swarm.key")); err != nil {
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
