package node

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
)

// notes are the log of a node, to the last detail.
type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(b)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

func (n *notes) log() *zap.Logger {
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(n), zap.DebugLevel))
}

// coming is a node that has been started and waits to be let in.
type coming struct {
	code    chan string
	log     *notes
	started chan *running
	ended   chan error
}

// begin starts a node that cannot go on yet.
func begin(t *testing.T, cfg Config) *coming {
	t.Helper()
	c := &coming{code: make(chan string, 1), log: &notes{}, started: make(chan *running, 1), ended: make(chan error, 1)}
	cfg.ShowCode = func(code string, _ time.Duration) { c.code <- code }
	go func() {
		r, err := tryStartLogging(t, cfg, c.log.log())
		if err != nil {
			c.ended <- err
			return
		}
		c.started <- r
	}()
	return c
}

func (c *coming) in(t *testing.T) *running {
	t.Helper()
	select {
	case r := <-c.started:
		return r
	case err := <-c.ended:
		t.Fatal(err)
	}
	return nil
}

// shown is the code, once the node waits with it at the member.
func (c *coming) shown(t *testing.T, at *running) string {
	t.Helper()
	var code string
	select {
	case code = <-c.code:
	case err := <-c.ended:
		t.Fatal(err)
	}
	eventually(t, "the member holds the request", func(ctx context.Context) bool {
		l, err := at.Waiting(ctx)
		return err == nil && len(l.Requests) > 0
	})
	return code
}

func TestJoinWithACodeTypedAtAnotherMember(t *testing.T) {
	t.Parallel()
	holder, approver := &notes{}, &notes{}
	a, err := tryStartLogging(t, Config{Private: true, Initial: true, Labels: map[string]string{"site": "attic"}}, holder.log())
	if err != nil {
		t.Fatal(err)
	}
	b, err := tryStartLogging(t, Config{Join: a.offer.API, Token: a.offer.Join.Token, Labels: map[string]string{"site": "barn"}}, approver.log())
	if err != nil {
		t.Fatal(err)
	}
	a.waitPeers(2)
	b.waitPeers(2)
	// Its clock is an hour off, which does not matter to codes.
	joiner := begin(t, Config{Join: a.offer.API, Labels: map[string]string{"site": "cellar"}, Clock: inAnHour})
	code := joiner.shown(t, a)

	l, err := b.Waiting(t.Context())
	if err != nil || len(l.Requests) != 1 || l.Requests[0].At != a.id || l.Requests[0].Message != nil || !strings.HasPrefix(l.Requests[0].Address, "127.0.0.1:") {
		t.Errorf("who waits, at the other member: %+v, %v", l, err)
	}
	got, err := b.Approve(t.Context(), strings.ToLower(code))
	if err != nil || got.At != a.id {
		t.Fatalf("%+v, %v", got, err)
	}
	c := joiner.in(t)
	if c.id != got.Joiner {
		t.Errorf("%s was let in, and it is %s", got.Joiner, c.id)
	}
	for _, r := range []*running{a, b, c} {
		r.waitPeers(3)
	}
	for _, r := range []*running{a, b, c} {
		_, err := r.Approve(t.Context(), code)
		if api.CodeOf(err) != api.CodeConflict || !strings.Contains(err.Error(), "used up") || !strings.Contains(err.Error(), string(c.id)) {
			t.Errorf("the code again, at %s: %v", r.cfg.Labels["site"], err)
		}
		if l, err := r.Waiting(t.Context()); err != nil || len(l.Requests) > 0 {
			t.Errorf("at %s wait %+v, %v", r.cfg.Labels["site"], l, err)
		}
	}
	for name, n := range map[string]*notes{"holder": holder, "approver": approver, "joiner": joiner.log} {
		for _, secret := range []string{code, strings.ReplaceAll(code, "-", ""), code[:9], a.offer.Join.Token} {
			if strings.Contains(strings.ToUpper(n.String()), strings.ToUpper(secret)) {
				t.Errorf("the log of the %s has a secret in it", name)
			}
		}
	}
	if !strings.Contains(approver.String(), `"a machine was let in with a code"`) {
		t.Error("the approver's log does not say that it let a machine in")
	}
}

// A joiner that names two members waits at both; its code is used up at both.
func TestJoinWithACodeAtTwoMembers(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true})
	b := start(t, Config{Join: a.offer.API, Token: a.offer.Join.Token})
	a.waitPeers(2)
	b.waitPeers(2)
	joiner := begin(t, Config{Private: true, Peers: []string{"http://" + a.offer.API, "http://" + b.offer.API}})
	code := joiner.shown(t, a)
	eventually(t, "it waits at both", func(ctx context.Context) bool {
		l, err := a.Waiting(ctx)
		return err == nil && len(l.Requests) == 2
	})
	if _, err := a.Approve(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	c := joiner.in(t)
	if err := a.stop(); err != nil { // with what it knows
		t.Fatal(err)
	}
	if _, err := b.Approve(t.Context(), code); api.CodeOf(err) != api.CodeConflict || !strings.Contains(err.Error(), string(c.id)) {
		t.Errorf("the code again, at the other: %v", err)
	}
}

func TestCodesThatLetNobodyIn(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true})
	other := start(t, Config{Private: true, Initial: true})
	open := start(t, Config{})
	joiner := begin(t, Config{Join: a.offer.API})
	code := joiner.shown(t, a)
	unknown, err := p2p.NewCode()
	if err != nil {
		t.Fatal(err)
	}
	typo := []byte(code)
	typo[0] = map[bool]byte{true: 'A', false: 'B'}[code[0] != 'A']
	for _, c := range []struct {
		name string
		at   *running
		code string
		want api.Code
		says []string
	}{
		{"cut", a, code[:9], api.CodeTokenMalformed, []string{"8 letters and digits", "17"}},
		{"mistyped", a, string(typo), api.CodeTokenMalformed, []string{"does not fit", "compare it"}},
		{"a token", a, "shoal1abc", api.CodeTokenMalformed, []string{"17"}},
		{"that nobody shows", a, unknown.Text(), api.CodeNotFound, []string{"no machine waits", "expire", "node join ls"}},
		{"of one that asks another swarm", other, code, api.CodeNotFound, []string{"another swarm"}},
		{"in an open swarm", open, code, api.CodeInvalid, []string{"no private swarm"}},
	} {
		_, err := c.at.Approve(t.Context(), c.code)
		if api.CodeOf(err) != c.want {
			t.Errorf("a code %s: %v (%s), want %s", c.name, err, api.CodeOf(err), c.want)
		}
		for _, s := range c.says {
			if err != nil && !strings.Contains(err.Error(), s) {
				t.Errorf("a code %s: the error does not say %q: %v", c.name, s, err)
			}
		}
		if err != nil && strings.Contains(err.Error(), c.code) && len(c.code) > 9 {
			t.Errorf("a code %s: the error quotes it: %v", c.name, err)
		}
	}
	if _, err := a.Approve(t.Context(), code); err != nil {
		t.Errorf("after all that: %v", err)
	}
	joiner.in(t)
}

func TestCodeExpiresAtTheJoiner(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true})
	home := t.TempDir()
	dead := "http://" + freePort(t) // which would be asked for ever
	joiner := begin(t, Config{Home: home, Join: a.offer.API, Peers: []string{dead}, codeLife: 200 * time.Millisecond})
	err := <-joiner.ended
	if api.CodeOf(err) != api.CodeTimeout || !strings.Contains(err.Error(), "nobody let this machine in within 200ms") || !strings.Contains(err.Error(), "new code") {
		t.Errorf("it ended with %v", err)
	}
	if _, err := p2p.LoadSwarmKey(home + "/swarm.key"); err == nil {
		t.Error("it has a swarm key")
	}
}

// Whoever gives up while it waits leaves nothing behind, and may come again.
func TestJoinerGivesUp(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true})
	for name, at := range map[string]string{"waiting for a code": a.offer.API, "waiting for the member": freePort(t)} {
		shown, failed := make(chan string, 1), make(chan struct{})
		log := zap.New(zapcore.NewNopCore())
		if at != a.offer.API {
			log = signalling(failed, "does not answer yet")
		}
		home := t.TempDir()
		n, err := New(Config{Home: home, Join: at, API: "127.0.0.1:0", ShowCode: func(code string, _ time.Duration) { shown <- code }}, log)
		if err != nil {
			t.Fatal(err)
		}
		ctx, interrupt := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx, nil) }()
		select {
		case <-shown:
		case <-failed:
		case err := <-done:
			t.Fatalf("%s: it ended with %v", name, err)
		}
		interrupt()
		if err := <-done; err != nil {
			t.Errorf("%s: it ended with %v", name, err)
		}
		h, err := openHome(home)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		h.Close()
	}
}

// Whoever answers for a member without the code lets nobody in, and nobody else.
func TestCodeIsNotTakenFromWhoDoesNotKnowIt(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true})
	liar := member(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/id" {
			says(t, api.ID{Peer: string(a.id), Addrs: a.offer.ID.Addrs, Private: true, Swarm: a.offer.ID.Swarm})(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(make([]byte, 200))
	})
	joiner := begin(t, Config{Join: liar})
	err := <-joiner.ended
	if !errors.Is(err, p2p.ErrCodeWrong) || !strings.Contains(err.Error(), liar) {
		t.Errorf("it ended with %v", err)
	}
	joiner = begin(t, Config{Join: liar, Peers: []string{"http://" + a.offer.API}})
	code := joiner.shown(t, a)
	if _, err := a.Approve(t.Context(), code); err != nil {
		t.Error(err)
	}
	joiner.in(t).waitPeers(2)
}
