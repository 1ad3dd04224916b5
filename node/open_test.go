package node

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// identity makes the identity of a home and returns its peer ID, so that others
// can be told of a node before it is there.
func identity(t *testing.T, home string) string {
	t.Helper()
	key, err := p2p.LoadIdentity(filepath.Join(home, "identity.key"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

// threeOpen makes an open swarm in which a runs the jobs of b, and nobody those
// of c. All may be anywhere.
func threeOpen(t *testing.T) (a, b, c *running) {
	t.Helper()
	homeB := t.TempDir()
	a = start(t, Config{AcceptFrom: []string{identity(t, homeB)}, Labels: map[string]string{"site": "attic"}})
	at := []string{"http://" + a.offer.API}
	b = start(t, Config{Home: homeB, Peers: at, Labels: map[string]string{"site": "barn"}})
	c = start(t, Config{Peers: at, Labels: map[string]string{"site": "cellar"}})
	for _, r := range []*running{a, b, c} {
		r.waitPeers(3)
	}
	return a, b, c
}

func TestOpenSwarmRunsJobsOfThoseItAccepts(t *testing.T) {
	t.Parallel()
	a, b, c := threeOpen(t)
	at := func(r *running, where string) api.Submission {
		s := r.job("print", "x")
		s.Spec.Where = where
		return s
	}
	id := b.submit(at(b, "site=attic"))
	if j := b.wait(id); j.State() != job.Done || j.Tasks[0].Executor != a.id {
		t.Errorf("b's job at a is %s at %s, %q", j.State(), j.Tasks[0].Executor, j.Reason)
	}
	if stdout, _ := b.output(id, api.LogOptions{Follow: true}); stdout != "x\n" {
		t.Errorf("its output is %q", stdout)
	}
	for _, r := range []*running{a, b, c} { // its own, everybody runs
		if j := r.wait(r.submit(at(r, "site="+r.cfg.Labels["site"]))); j.State() != job.Done || j.Tasks[0].Executor != r.id {
			t.Errorf("%s's own job is %s at %s, %q", r.cfg.Labels["site"], j.State(), j.Tasks[0].Executor, j.Reason)
		}
	}
	for _, r := range []*running{a, c} { // b and c accept nobody, a only b
		id := r.submit(at(r, "site!="+r.cfg.Labels["site"]))
		j, err := r.Job(t.Context(), id)
		if err != nil || j.State() != job.Waiting || !strings.Contains(j.Reason, "2 not running jobs of this node (serve --accept-from "+string(r.id)) || len(j.History) != 1 {
			t.Errorf("%s's job elsewhere is %s, %q, %v; %d events", r.cfg.Labels["site"], j.State(), j.Reason, err, len(j.History))
		}
	}
}

// Whatever a peer of an open swarm asks or sends, it gets and does nothing: the
// requests here are those that its node would never make.
func TestStrangersOfAnOpenSwarm(t *testing.T) {
	t.Parallel()
	a, b, c := threeOpen(t)
	s := b.job("print", "begun", "sleep", "600000")
	s.Spec.Where = "site=attic"
	id := b.submit(s)
	b.waitFor(id, "it runs", func(j job.Job) bool { return j.Tasks[0].State == job.Running })
	if _, err := c.Job(t.Context(), id); api.CodeOf(err) != api.CodeNotFound || !strings.Contains(err.Error(), "open swarm") {
		t.Errorf("describe through the own node: %v", err)
	}
	if l, err := c.List(t.Context()); err != nil || len(l.Jobs) > 0 || len(l.Silent) > 0 {
		t.Errorf("list through the own node: %+v, %v", l, err)
	}

	mesh := c.stranger()
	for _, r := range []*running{a, b} { // who runs it, and whose it is
		ask := api.NewClientDial("peer", func(ctx context.Context) (net.Conn, error) { return mesh.Dial(ctx, decoded(t, r.id), askProtocol) })
		see := func(api.LogChunk) error { t.Error("output was told"); return nil }
		errs := map[string]error{"logs": ask.Logs(t.Context(), id, api.LogOptions{}, see), "logs of an attempt": ask.Logs(t.Context(), id, api.LogOptions{Attempt: 1}, see)}
		_, errs["list"] = ask.List(t.Context())
		_, errs["describe"] = ask.Job(t.Context(), id)
		_, errs["describe by prefix"] = ask.Job(t.Context(), id[:5])
		_, errs["cancel"] = ask.Cancel(t.Context(), id)
		errs["watch"] = ask.Watch(t.Context(), id, func(job.Job) error { t.Error("the job was told"); return nil })
		for what, err := range errs {
			want := api.CodeForbidden
			if what == "logs of an attempt" {
				want = api.CodeNotFound // it has none of that name here
			}
			if api.CodeOf(err) != want {
				t.Errorf("%s at %s: %v; want %s", what, r.cfg.Labels["site"], err, want)
			}
		}
	}
	// An award from nobody it knows is declined with words, and a withdrawal of
	// another's attempt does nothing.
	answers := make(chan scheduler.Message, 16)
	post := p2p.NewPost(mesh, awardProtocol, func(from peer.ID, frame []byte) error {
		if m, err := scheduler.Decode(frame); err == nil && from == decoded(t, a.id) {
			answers <- m
		}
		return nil
	})
	defer post.Close()
	attempt := job.Attempt{Job: job.ID(id), Attempt: 1}
	for _, m := range []scheduler.Message{scheduler.Withdraw{Attempt: attempt}, scheduler.Award{Attempt: attempt, Spec: s.Spec}} {
		frame, err := scheduler.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		post.Send(decoded(t, a.id), frame)
	}
	select {
	case m := <-answers:
		if d, ok := m.(scheduler.Decline); !ok || !strings.Contains(d.Reason, "does not run jobs of peer") || !strings.Contains(d.Reason, "--accept-from "+mesh.Host().ID().String()) {
			t.Errorf("the stranger's award was answered with %+v", m)
		}
	case <-t.Context().Done():
		t.Fatal("the award was not answered")
	}
	if j, err := b.Job(t.Context(), id); err != nil || j.State() != job.Running {
		t.Errorf("after all that the job is %s, %v", j.State(), err)
	}
	if j, err := b.Cancel(t.Context(), id); err != nil || j.State() != job.Cancelled {
		t.Errorf("its owner's cancel: %s, %v", j.State(), err)
	}
}

// stranger is a mesh in the node's swarm that does what no node does.
func (r *running) stranger() *p2p.Mesh {
	r.t.Helper()
	key, err := p2p.LoadIdentity(filepath.Join(r.t.TempDir(), "identity.key"))
	if err != nil {
		r.t.Fatal(err)
	}
	info, err := addrInfo(r.offer.ID, "http://"+r.offer.API)
	if err != nil {
		r.t.Fatal(err)
	}
	m, err := p2p.New(p2p.Config{Identity: key, Bootstrap: []peer.AddrInfo{info}}, quiet(r.t))
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
		if err := m.Close(); err != nil {
			r.t.Error(err)
		}
	})
	eventually(r.t, "the stranger knows all three", func(context.Context) bool { return len(m.Roster().Peers()) >= 4 })
	return m
}

func decoded(t *testing.T, id job.PeerID) peer.ID {
	t.Helper()
	p, err := peer.Decode(string(id))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// In a private swarm --accept-from restricts as well; members still answer for
// every job.
func TestAcceptFromInAPrivateSwarm(t *testing.T) {
	t.Parallel()
	homeB := t.TempDir()
	a := start(t, Config{Private: true, Initial: true, AcceptFrom: []string{identity(t, homeB)}, Labels: map[string]string{"site": "attic"}})
	join := Config{Join: a.offer.API, Token: a.offer.Join.Token}
	b := start(t, Config{Home: homeB, Join: join.Join, Token: join.Token, Labels: map[string]string{"site": "barn"}})
	c := start(t, Config{Join: join.Join, Token: join.Token, Labels: map[string]string{"site": "cellar"}})
	for _, r := range []*running{a, b, c} {
		r.waitPeers(3)
	}
	s := b.job("print", "x")
	s.Spec.Where = "site=attic"
	id := b.submit(s)
	if j := c.wait(id); j.State() != job.Done || j.Tasks[0].Executor != a.id {
		t.Errorf("b's job is %s at %s", j.State(), j.Tasks[0].Executor)
	}
	s = c.job("print", "x")
	s.Spec.Where = "site=attic"
	id = c.submit(s)
	if j, err := a.Job(t.Context(), id); err != nil || j.State() != job.Waiting || !strings.Contains(j.Reason, "not running jobs of this node") {
		t.Errorf("c's job is %s, %q, %v", j.State(), j.Reason, err)
	}
	s.Nonce, s.Spec.Where = s.Nonce+"b", "site=barn" // who names nobody runs everybody's
	if j := c.wait(c.submit(s)); j.State() != job.Done || j.Tasks[0].Executor != b.id {
		t.Errorf("c's job at b is %s at %s", j.State(), j.Tasks[0].Executor)
	}
}

// Nothing of a private swarm is there for a node of an open one that knows where
// it is.
func TestOpenNodeReachesNothingPrivate(t *testing.T) {
	t.Parallel()
	private := start(t, Config{Private: true, Initial: true, Labels: map[string]string{"site": "attic"}})
	secret := private.add("secret.txt", []byte("secret"))
	open := start(t, Config{Labels: map[string]string{"site": "open"}, Patience: 1})
	nosy := start(t, Config{Peers: append(slices.Clone(private.offer.ID.Addrs), "http://"+open.offer.API), Labels: map[string]string{"site": "nosy"}, Patience: 1})
	nosy.waitPeers(2)
	open.waitPeers(2)
	for _, r := range []*running{private, open, nosy} {
		peers, err := r.Peers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range peers {
			if (p.ID == private.id) != (r.id == private.id) {
				t.Errorf("%s has %s in its roster", r.cfg.Labels["site"], p.Labels["site"])
			}
		}
	}
	if err := nosy.Cat(t.Context(), secret, &strings.Builder{}); api.CodeOf(err) != api.CodeNoSuchCID {
		t.Errorf("private data, at the open node: %v", err)
	}
	if _, err := tryStart(t, Config{Peers: []string{"http://" + private.offer.API}}); err == nil || !strings.Contains(err.Error(), "needs a token") {
		t.Errorf("entering by HTTP without a token: %v", err)
	}
}

func TestAcceptFromThatIsRefused(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]string{"empty": "", "word": "everybody", "cut": "12D3KooWJohLAn7tYwCoyj1kHrPBBWdeV2Ut8oH7r3jL9L2kcPH", "CID of a peer": "bafzaajaiaejcbzdibmxyzdjbbehgvizh6g5tikvy47mshdy6gwbruvgwvd24seje"} {
		if _, err := New(Config{Home: t.TempDir(), AcceptFrom: []string{id}}, nil); err == nil || !strings.Contains(err.Error(), "--accept-from") || !strings.Contains(err.Error(), "no peer ID") {
			t.Errorf("%s: %v", name, err)
		}
	}
	var many []string
	for range maxAccept + 1 {
		many = append(many, identity(t, t.TempDir()))
	}
	if _, err := New(Config{Home: t.TempDir(), AcceptFrom: many}, nil); err == nil || !strings.Contains(err.Error(), fmt.Sprint(maxAccept, " is the most")) {
		t.Errorf("too many: %v", err)
	}
	if _, err := New(Config{Home: t.TempDir(), AcceptFrom: append(many[:maxAccept], many[0])}, nil); err != nil {
		t.Errorf("as many as may be, one of them twice: %v", err)
	}
}
