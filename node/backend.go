package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/executor/wasm"
	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler"
	"github.com/shoal-mesh/shoal/scheduler/job"
	"github.com/shoal-mesh/shoal/storage"
)

// backend is what the API's handlers work on: the parts of one running node.
type backend struct {
	swarmJobs
	cfg    Config
	key    *p2p.SwarmKey
	said   *ownLabels
	mesh   *p2p.Mesh
	store  *storage.Store
	engine *wasm.Executor
	begun  time.Time
	log    *zap.Logger
	ready  atomic.Bool
	api    net.Addr // where the HTTP API listens
	door   door     // where machines wait that have no token

	// For doctor.
	dir   string                // the home
	offer atomic.Pointer[Offer] // what the self-test at the start came to; nil before
	heard func() time.Time      // when the last bid of another peer came in
}

func (b *backend) Ready() bool { return b.ready.Load() }

func (b *backend) ID(context.Context) api.ID {
	id := api.ID{Peer: b.mesh.Host().ID().String(), Version: b.cfg.Version}
	for _, a := range b.mesh.Addrs() {
		id.Addrs = append(id.Addrs, a.String())
	}
	if b.key != nil {
		id.Private, id.Swarm = true, b.key.Fingerprint()
	}
	return id
}

func (b *backend) Peers(ctx context.Context) []api.Peer {
	bids, err := b.own.sched.Bids(ctx)
	if err != nil {
		b.log.Debug("the peers are listed without their bids", zap.Error(err)) // the node stops
	}
	var out []api.Peer
	for _, p := range b.mesh.Roster().Peers() {
		e := api.Peer{ID: job.PeerID(p.ID.String()), Self: p.Self, Labels: p.Labels, RTT: p.RTT, Seen: time.Since(p.Seen)}
		if p.Self {
			e.Seen = 0
		}
		for _, a := range p.Addrs {
			e.Addrs = append(e.Addrs, a.String())
		}
		if bid, ok := bids[e.ID]; ok {
			e.Free, e.Total = &bid.Free, &bid.Total
		}
		out = append(out, e)
	}
	return out
}

func (b *backend) Labels(context.Context) ([]api.Label, error) { return b.said.list(), nil }

func (b *backend) ChangeLabels(_ context.Context, c api.LabelChange) ([]api.Label, error) {
	if err := b.said.change(c); err != nil {
		return nil, err
	}
	return b.said.list(), nil
}

func (b *backend) Token(_ context.Context, ttl time.Duration) (api.Token, error) {
	if b.key == nil {
		return api.Token{}, api.Errorf(api.CodeInvalid, "this node is in no private swarm, so there is nothing to let anybody in to: found one with `node serve --private --initial`")
	}
	now := b.cfg.now()
	token, err := b.key.NewToken(now, ttl)
	if err != nil {
		return api.Token{}, err
	}
	return api.Token{Token: token, Expires: now.Add(ttl), Line: fmt.Sprintf("SHOAL_TOKEN=%s node serve --join %s", token, b.joinAt())}, nil
}

// joinAt is the address at which others reach the HTTP API: where it listens,
// or, if that is everywhere, the first address of this machine that is not
// loopback. The default port is left out.
func (b *backend) joinAt() string {
	host, port, err := net.SplitHostPort(b.api.String())
	if err != nil {
		return b.api.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
		for _, a := range b.mesh.Addrs() {
			if bare, _ := peer.SplitAddr(a); bare != nil && manet.IsIPLoopback(bare) {
				continue
			}
			if v, err := a.ValueForProtocol(multiaddr.P_IP4); err == nil {
				host = v
				break
			}
		}
	}
	if port == strconv.Itoa(DefaultAPIPort) {
		return host
	}
	return net.JoinHostPort(host, port)
}

func (b *backend) Join(ctx context.Context, remote string, msg []byte) ([]byte, error) {
	if b.key == nil {
		return nil, api.Errorf(api.CodeInvalid, "this node is in no private swarm: there is no key to hand over")
	}
	if _, ok := p2p.RequestID(msg); ok {
		return b.door.wait(ctx, remote, msg)
	}
	self := peer.AddrInfo{ID: b.mesh.Host().ID(), Addrs: b.mesh.Host().Addrs()}
	reply, joiner, err := p2p.Admit(*b.key, self, b.cfg.now(), msg)
	if err != nil {
		return nil, apiError(err)
	}
	b.log.Info("a machine was let in with a token", zap.Stringer("peer", joiner))
	return reply, nil
}

// apiError gives an error of a part the code by which a client can act on it.
// What has none stays as it is and is an internal error.
func apiError(err error) error {
	var (
		ambiguous *scheduler.AmbiguousError
		missing   *storage.NotFoundError
		badRef    *storage.RefError
		refused   *storage.RefusedError
		badName   *storage.NameError
		twice     *storage.AmbiguousError
		full      *storage.FullError
	)
	code := api.CodeInternal
	switch {
	case err == nil:
		return nil
	case errors.Is(err, scheduler.ErrNotFound):
		return api.Errorf(api.CodeNotFound, "%w: `node list` shows the jobs there are", err)
	case errors.As(err, &ambiguous), errors.As(err, &twice):
		code = api.CodeAmbiguous
	case errors.Is(err, storage.ErrNotPinned):
		code = api.CodeNotFound
	case errors.Is(err, scheduler.ErrEnded), errors.Is(err, scheduler.ErrConflict):
		code = api.CodeConflict
	case errors.Is(err, scheduler.ErrBusy), errors.Is(err, scheduler.ErrStopped):
		code = api.CodeUnavailable
	case errors.Is(err, scheduler.ErrSpec), errors.As(err, &badRef), errors.As(err, &refused), errors.As(err, &badName):
		code = api.CodeInvalid
	case errors.As(err, &full), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		code = api.CodeNoRoom
	case errors.As(err, &missing):
		code = api.CodeNoSuchCID
	case errors.Is(err, p2p.ErrTokenExpired):
		code = api.CodeTokenExpired
	case errors.Is(err, p2p.ErrTokenForeign):
		code = api.CodeTokenForeign
	case errors.Is(err, p2p.ErrTokenMalformed), errors.Is(err, p2p.ErrTokenWrong), errors.Is(err, p2p.ErrCodeMalformed), errors.Is(err, p2p.ErrCodeWrong):
		code = api.CodeTokenMalformed
	default:
		return err
	}
	return api.Errorf(code, "%w", err)
}
