package node

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// How long a code is good, and what a node keeps of those who ask with one. They
// are strangers, so everything is bounded.
const (
	codeLife    = 10 * time.Minute
	codeMemory  = 2 * codeLife     // for which a node knows what became of a code
	codeGrace   = 15 * time.Second // without a question, after which the asker is gone
	maxWaiting  = 64
	maxPerSite  = 16  // of them, from one site: machines behind one NAT
	maxVisitors = 256 // with those that wait no more
)

// door is where machines wait that want to be let in with a code. A visitor sends
// one message, and asks for the answer with the same message again and again:
//
//	         ┌─ asks no more ──▶ gone ──┐ asks again
//	waiting ◀┼──────────────────────────┘
//	         ├─ codeLife ──────▶ expired
//	         └─ answered ──────▶ used
//
// The node cannot read the message, nor say who sent it: only who has the code
// can. A door's clock is monotonic, so wall clocks do not matter to codes. The
// zero value is ready, and safe for concurrent use.
type door struct {
	mu       sync.Mutex
	visitors map[string]*visitor
}

type visitor struct {
	id     string
	msg    []byte
	site   string    // it first asked from
	remote string    // it asked from, last
	since  time.Time // it first asked
	seen   time.Time // it last stopped asking
	asking int       // questions that are held just now
	turn   chan struct{}
	joiner job.PeerID
	reply  []byte
	used   chan struct{} // closed when reply is there
}

func (v *visitor) state(now time.Time) api.JoinState {
	switch {
	case v.reply != nil:
		return api.JoinUsed
	case now.Sub(v.since) >= codeLife:
		return api.JoinExpired
	case v.asking == 0 && now.Sub(v.seen) >= codeGrace:
		return api.JoinGone
	}
	return api.JoinWaiting
}

// wait holds a question for api.JoinHold and gives back the answer, if there is
// one by then. A newer question with the same message ends an older one.
func (d *door) wait(ctx context.Context, remote string, msg []byte) ([]byte, error) {
	v, turn, err := d.ask(remote, msg, time.Now())
	if err != nil {
		return nil, err
	}
	defer d.leave(v)
	hold := time.NewTimer(api.JoinHold)
	defer hold.Stop()
	select {
	case <-v.used:
		return v.reply, nil
	case <-turn:
	case <-hold.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return nil, nil
}

func (d *door) ask(remote string, msg []byte, now time.Time) (*visitor, <-chan struct{}, error) {
	id, ok := p2p.RequestID(msg)
	if !ok {
		return nil, nil, api.Errorf(api.CodeInvalid, "the request to join with a code does not decode (another version of Shoal?)")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.visitors[id]
	switch {
	case v == nil:
		if err := d.room(remote, now); err != nil {
			return nil, nil, err
		}
		v = &visitor{id: id, site: api.Site(remote), msg: bytes.Clone(msg), since: now, used: make(chan struct{})}
		if d.visitors == nil {
			d.visitors = make(map[string]*visitor)
		}
		d.visitors[id] = v
	case v.state(now) == api.JoinExpired:
		return nil, nil, api.Errorf(api.CodeTokenExpired, "the code was good for %s and is no longer: start again for a new one", codeLife)
	}
	if v.turn != nil {
		close(v.turn)
	}
	v.turn = make(chan struct{})
	v.remote = remote
	v.asking++
	return v, v.turn, nil
}

// room makes place for one visitor more, or says why there is none. When as many
// wait as may, the newest of the site with most of them gives way to one of a site
// that has fewer: so nobody who has but a few addresses keeps the others out.
func (d *door) room(remote string, now time.Time) error {
	site := api.Site(remote)
	waiting, most := 0, site
	sites := map[string]int{}
	newest := map[string]*visitor{}
	var old *visitor // of those that wait no more
	for id, v := range d.visitors {
		switch {
		case v.state(now) == api.JoinWaiting:
			waiting++
			if sites[v.site]++; sites[v.site] > sites[most] {
				most = v.site
			}
			if n := newest[v.site]; n == nil || v.since.After(n.since) {
				newest[v.site] = v
			}
		case now.Sub(v.since) >= codeMemory:
			delete(d.visitors, id)
		case old == nil || v.since.Before(old.since):
			old = v
		}
	}
	full := waiting >= maxWaiting
	switch {
	case sites[site] >= maxPerSite, full && sites[most] <= sites[site]+1:
		return api.Errorf(api.CodeUnavailable, "too many machines wait to be let in there with a code: let in those that `node join ls` shows, try again later, or join with a token")
	case full:
		d.dismiss(newest[most])
	case len(d.visitors) >= maxVisitors:
		d.dismiss(old)
	}
	return nil
}

// dismiss forgets a visitor. If it asks just now, it is told that nobody has let
// it in yet, and asks again.
func (d *door) dismiss(v *visitor) {
	delete(d.visitors, v.id)
	if v.turn != nil {
		close(v.turn)
		v.turn = nil
	}
}

func (d *door) leave(v *visitor) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v.asking--
	v.seen = time.Now()
}

// Requests lists the visitors, the first to come first.
func (d *door) Requests(context.Context) ([]api.JoinRequest, error) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []api.JoinRequest
	for _, v := range d.visitors {
		if now.Sub(v.since) < codeMemory {
			out = append(out, v.request(now))
		}
	}
	slices.SortFunc(out, func(a, b api.JoinRequest) int { return cmp.Or(cmp.Compare(b.Age, a.Age), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

func (v *visitor) request(now time.Time) api.JoinRequest {
	return api.JoinRequest{ID: v.id, Address: v.remote, Age: now.Sub(v.since), State: v.state(now), Joiner: v.joiner, Message: v.msg}
}

// Answer lets a visitor in.
func (d *door) Answer(_ context.Context, id string, a api.JoinAnswer) (api.JoinRequest, error) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.visitors[id]
	if v == nil {
		return api.JoinRequest{}, api.Errorf(api.CodeNotFound, "no machine waits here with the request %s", id)
	}
	if s := v.state(now); s != api.JoinWaiting {
		return api.JoinRequest{}, refusal(v.request(now))
	}
	v.joiner, v.reply = a.Joiner, a.Message
	close(v.used)
	return v.request(now), nil
}

// refusal says why a request that does not wait cannot be answered.
func refusal(q api.JoinRequest) error {
	switch q.State {
	case api.JoinUsed:
		return api.Errorf(api.CodeConflict, "this code is used up: it has let in peer %s, and a code lets in one machine once. Another machine has a code of its own", q.Joiner)
	case api.JoinExpired:
		return api.Errorf(api.CodeTokenExpired, "this code has expired: it was good for %s. Start the joining machine again for a new one", codeLife)
	}
	return api.Errorf(api.CodeConflict, "the machine with this code, which asked from %s, has stopped asking: start it again, and it shows a new code", q.Address)
}
