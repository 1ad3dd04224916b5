package node

import (
	"context"
	"errors"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// sighting is a request to join, at the door of a member.
type sighting struct {
	api.JoinRequest
	door api.Joins
}

// sightings are the requests at this node's door and at those of all live peers,
// and the peers that did not answer.
func (b *backend) sightings(ctx context.Context) (seen []sighting, silent []job.PeerID, err error) {
	if b.key == nil {
		return nil, nil, api.Errorf(api.CodeInvalid, "this node is in no private swarm, so nobody needs to be let in: found one with `node serve --private --initial`")
	}
	own, err := b.door.Requests(ctx)
	for _, q := range own {
		q.At = b.own.self()
		seen = append(seen, sighting{q, &b.door})
	}
	for _, a := range ask(ctx, b.own, "", func(ctx context.Context, c *api.Client) ([]api.JoinRequest, error) { return c.Requests(ctx) }) {
		if a.err != nil {
			silent = append(silent, a.peer)
		}
		for _, q := range a.value[:min(len(a.value), maxVisitors)] {
			q.At = a.peer // whatever it says itself
			seen = append(seen, sighting{q, a.from})
		}
	}
	return seen, silent, err
}

// Waiting lists the machines that wait at any member to be let in.
func (b *backend) Waiting(ctx context.Context) (api.JoinList, error) {
	seen, silent, err := b.sightings(ctx)
	l := api.JoinList{Silent: silent}
	for _, s := range seen {
		if s.State == api.JoinWaiting {
			s.Message = nil
			l.Requests = append(l.Requests, s.JoinRequest)
		}
	}
	return l, err
}

// Approve lets in the machine that shows the code, at whichever members it waits.
// All of them are asked even if it waits at this one: it may have been let in
// elsewhere.
func (b *backend) Approve(ctx context.Context, text string) (api.Approved, error) {
	code, err := p2p.ParseCode(text)
	if err != nil {
		return api.Approved{}, apiError(err)
	}
	seen, silent, err := b.sightings(ctx)
	if err != nil {
		return api.Approved{}, err
	}
	fit, err := fitting(code, seen, silent)
	if err != nil {
		return api.Approved{}, err
	}
	self := peer.AddrInfo{ID: b.mesh.Host().ID(), Addrs: b.mesh.Host().Addrs()}
	reply, joiner, err := code.Admit(*b.key, self, fit[0].Message)
	if err != nil {
		return api.Approved{}, apiError(err)
	}
	q, err := handOver(ctx, fit, api.JoinAnswer{Joiner: job.PeerID(joiner.String()), Message: reply})
	if err != nil {
		return api.Approved{}, err
	}
	b.log.Info("a machine was let in with a code", zap.Stringer("peer", joiner), zap.String("address", q.Address), zap.String("at", string(q.At)))
	return api.Approved{Joiner: job.PeerID(joiner.String()), Address: q.Address, At: q.At}, nil
}

// fitting are those of the requests that were made with the code and wait: one, at
// each member that the joiner asks. Else the error says what became of it.
func fitting(code p2p.Code, seen []sighting, silent []job.PeerID) ([]sighting, error) {
	var fit []sighting
	var over *api.JoinRequest
	for _, s := range seen {
		joiner, ok := code.Fits(s.Message)
		if !ok {
			continue
		}
		s.Joiner = job.PeerID(joiner.String())
		switch {
		case s.State == api.JoinUsed:
			return nil, refusal(s.JoinRequest)
		case s.State != api.JoinWaiting:
			over = &s.JoinRequest
		case len(fit) == 0 || fit[0].ID == s.ID:
			fit = append(fit, s)
		}
	}
	switch {
	case len(fit) > 0:
		return fit, nil
	case over != nil:
		return nil, refusal(*over)
	case len(silent) > 0:
		return nil, api.Errorf(api.CodeUnavailable, "no machine waits with this code at the members that answered, and %d did not answer: try again, or approve it at the member that it asks", len(silent))
	}
	return nil, api.Errorf(api.CodeNotFound, "no machine waits with this code at any live member of this swarm, though it is a whole one: has the joining machine stopped, "+
		"or did its code expire (after %s), or does it ask a member of another swarm? `node join ls` shows those that wait", codeLife)
}

// handOver gives the answer to the joiner at every door where it waits. One that
// takes it is enough; the error is that of the first that does not.
func handOver(ctx context.Context, fit []sighting, a api.JoinAnswer) (took api.JoinRequest, err error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, len(fit))
	for i, s := range fit {
		wg.Go(func() { _, errs[i] = s.door.Answer(ctx, s.ID, a) })
	}
	wg.Wait()
	for i, s := range fit {
		if errs[i] == nil {
			return s.JoinRequest, nil
		}
	}
	return took, errors.Join(errs...)
}
