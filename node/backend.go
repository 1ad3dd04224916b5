package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler"
	"github.com/shoal-mesh/shoal/scheduler/job"
	"github.com/shoal-mesh/shoal/storage"
)

// backend is what the API's handlers work on: the parts of one running node.
type backend struct {
	swarmJobs
	cfg   Config
	key   *p2p.SwarmKey
	said  *ownLabels
	mesh  *p2p.Mesh
	store *storage.Store
	sched *scheduler.Scheduler
	log   *zap.Logger
	ready atomic.Bool
	api   net.Addr // where the HTTP API listens
	door  door     // where machines wait that have no token

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
	bids, err := b.sched.Bids(ctx)
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
	if ttl <= 0 {
		ttl = time.Hour
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

func (b *backend) Add(ctx context.Context, tar io.Reader) (api.Added, error) {
	s, err := b.store.Add(ctx, tar)
	return api.Added{CID: s.CID, Size: job.Bytes(s.Size)}, apiError(err)
}

func (b *backend) Tar(ctx context.Context, path string, w io.Writer) error {
	return apiError(b.store.Tar(watched(ctx), path, w))
}

func (b *backend) Cat(ctx context.Context, path string, w io.Writer) error {
	return apiError(b.store.Cat(watched(ctx), path, w))
}

func (b *backend) Pins(ctx context.Context) ([]api.Pin, error) {
	pins, err := b.store.Pins(ctx)
	out := make([]api.Pin, len(pins))
	for i, p := range pins {
		out[i] = api.Pin{CID: p.CID, Name: p.Name}
	}
	return out, apiError(err)
}

func (b *backend) Pin(ctx context.Context, ref string) (api.Pin, error) {
	s, err := b.store.Pin(watched(ctx), ref)
	return api.Pin{CID: s.CID}, apiError(err)
}

func (b *backend) Unpin(ctx context.Context, ref string) error {
	return apiError(b.store.Unpin(ctx, ref))
}

// apiError gives an error of a part the code by which a client can act on it.
// What has none stays as it is and is an internal error.
func apiError(err error) error {
	var (
		ambiguous *scheduler.AmbiguousError
		missing   *storage.NotFoundError
		badRef    *storage.RefError
		refused   *storage.RefusedError
	)
	code := api.CodeInternal
	switch {
	case err == nil:
		return nil
	case errors.Is(err, scheduler.ErrNotFound):
		return api.Errorf(api.CodeNotFound, "%w: `node list` shows the jobs there are", err)
	case errors.As(err, &ambiguous):
		code = api.CodeAmbiguous
	case errors.Is(err, storage.ErrNotPinned):
		code = api.CodeNotFound
	case errors.Is(err, scheduler.ErrEnded), errors.Is(err, scheduler.ErrConflict):
		code = api.CodeConflict
	case errors.Is(err, scheduler.ErrBusy), errors.Is(err, scheduler.ErrStopped):
		code = api.CodeUnavailable
	case errors.Is(err, scheduler.ErrSpec), errors.As(err, &badRef), errors.As(err, &refused):
		code = api.CodeInvalid
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
