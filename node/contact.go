package node

import (
	"context"
	"fmt"
	"net/url"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
)

// found is what one member told: who is there and, if it let this node in, the
// swarm's key.
type found struct {
	peers []peer.AddrInfo
	key   *p2p.SwarmKey
}

// ask learns from the HTTP API of a member who it is and, without a key, gets
// the swarm's, by token or code. An error of away may pass.
func (e entry) ask(ctx context.Context, c p2p.Contact, key *p2p.SwarmKey) (f found, err error) {
	id, err := api.FetchID(ctx, c.URL)
	if err != nil {
		return f, err
	}
	info, err := addrInfo(id, c.URL)
	if err != nil {
		return f, err
	}
	f = found{peers: []peer.AddrInfo{info}, key: key}
	switch {
	case c.ID != "" && c.ID != info.ID:
		return f, api.Errorf(api.CodeInvalid, "peer %s answers at %s, and not %s: use its ID, or the right address", info.ID, c.URL, c.ID)
	case !id.Private && (key != nil || e.private()):
		return f, api.Errorf(api.CodeInvalid, "%s says that it is in an open swarm, and this node is to be in a private one: check the address, "+
			"or start without --private, --join and token, and with a --home of its own, to be in an open one", c.URL)
	case id.Private && key != nil && id.Swarm != key.Fingerprint():
		return f, api.Errorf(api.CodeInvalid, "%s is in swarm %s and home %s belongs to swarm %s: give this node another --home to join there", c.URL, id.Swarm, e.home.dir, key.Fingerprint())
	case !id.Private || key != nil:
		return f, nil
	}
	a, err := e.admit(ctx, c.URL, info.ID)
	if err != nil {
		return f, err
	}
	f.key = &a.Key
	if a.Member.ID != info.ID { // the member at which a code was typed
		f.peers = append(f.peers, a.Member)
	}
	return f, nil
}

// admit gets the swarm's key from the member at a URL, for the token or, if there
// is none, by code.
func (e entry) admit(ctx context.Context, at string, member peer.ID) (p2p.Admission, error) {
	switch {
	case e.token != "":
		return e.redeem(ctx, at, member)
	case e.ShowCode == nil || !e.private():
		return p2p.Admission{}, api.Errorf(api.CodeInvalid, "%s is in a private swarm, which needs a token: run `node token create` at a member and use the line that it prints, "+
			"set SHOAL_TOKEN, or write the token to %s with mode 0600; or start with --join, to be let in with a code", at, e.home.path("token"))
	}
	p, err := e.plea()
	if err != nil {
		return p2p.Admission{}, err
	}
	e.log.Info("waiting to be let in with a code", zap.String("at", at), zap.String("peer", e.self.String()))
	a, err := p.wait(ctx, at)
	if err != nil {
		return a, fmt.Errorf("join at %s: %w", at, err)
	}
	a.Member = p2p.SeenFrom(a.Member, hostOf(at))
	return a, nil
}

// redeem exchanges the token.
func (e entry) redeem(ctx context.Context, at string, member peer.ID) (p2p.Admission, error) {
	msg, finish, err := p2p.Ask(e.token, e.self, e.now())
	if err != nil {
		return p2p.Admission{}, apiError(err)
	}
	reply, err := api.Join(ctx, at, msg)
	if err != nil {
		return p2p.Admission{}, fmt.Errorf("join at %s: %w", at, err)
	}
	a, err := finish(reply)
	if err != nil {
		return a, fmt.Errorf("join at %s: %w", at, apiError(err))
	}
	if a.Member.ID != member {
		return a, fmt.Errorf("join at %s: it says that it is peer %s and proved to be %s; somebody may be in between", at, member, a.Member.ID)
	}
	return a, nil
}

// addrInfo is where to dial the peer that answered at the URL: the address at
// which it was just reached, which is known to work, then its own.
func addrInfo(id api.ID, at string) (peer.AddrInfo, error) {
	p, err := peer.Decode(id.Peer)
	if err != nil {
		return peer.AddrInfo{}, api.Errorf(api.CodeNotShoal, "%s names itself %q, which is no peer ID (%w)", at, id.Peer, err)
	}
	info := peer.AddrInfo{ID: p}
	for _, s := range id.Addrs {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return info, api.Errorf(api.CodeNotShoal, "%s gives the address %q, which is no multiaddr (%w)", at, s, err)
		}
		if a, _ = peer.SplitAddr(a); a != nil {
			info.Addrs = append(info.Addrs, a)
		}
	}
	info = p2p.ReachedAt(info, hostOf(at))
	if len(info.Addrs) == 0 {
		return info, api.Errorf(api.CodeNotShoal, "%s lists no address at which it can be reached", at)
	}
	return info, nil
}

// hostOf is the IP or name in a URL.
func hostOf(at string) string {
	u, err := url.Parse(at)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
