package node

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/test"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
)

// freePort is an address at which nobody listens, and nobody will by accident:
// everything else here is at 127.0.0.1.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(255), 1+rand.IntN(254)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// signalling is a logger that closes c at the first entry whose message has the words.
func signalling(c chan struct{}, words string) *zap.Logger {
	once := sync.OnceFunc(func() { close(c) })
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&notes{}), zap.WarnLevel)
	return zap.New(core, zap.Hooks(func(e zapcore.Entry) error {
		if strings.Contains(e.Message, words) {
			once()
		}
		return nil
	}))
}

// Nodes that are started in any order find each other: the joiner waits.
func TestJoinerIsStartedFirst(t *testing.T) {
	t.Parallel()
	at := freePort(t)
	waits := make(chan struct{})
	cfg := Config{Join: at, Labels: map[string]string{"site": "barn"}}
	joined := make(chan *running, 1)
	code := make(chan string, 1)
	cfg.ShowCode = func(c string, _ time.Duration) { code <- c }
	go func() {
		r, err := tryStartLogging(t, cfg, signalling(waits, "does not answer yet"))
		if err != nil {
			t.Error(err)
		}
		joined <- r
	}()
	<-waits
	a := start(t, Config{Private: true, Initial: true, API: at, Labels: map[string]string{"site": "attic"}})
	text := <-code
	eventually(t, "the code is good", func(ctx context.Context) bool {
		_, err := a.Approve(ctx, text)
		return err == nil
	})
	if b := <-joined; b != nil {
		b.waitPeers(2)
		a.waitPeers(2)
	}
}

// Two nodes of an open swarm that name each other do not wait for each other.
func TestOpenNodesNameEachOther(t *testing.T) {
	t.Parallel()
	x, y := freePort(t), freePort(t)
	var nodes [2]*running
	var wg sync.WaitGroup
	for i, cfg := range []Config{
		{API: x, Peers: []string{"http://" + y}, Labels: map[string]string{"site": "attic"}},
		{API: y, Peers: []string{"http://" + x}, Labels: map[string]string{"site": "barn"}},
	} {
		wg.Go(func() {
			r, err := tryStart(t, cfg)
			if err != nil {
				t.Error(err)
			}
			nodes[i] = r
		})
	}
	wg.Wait()
	for _, r := range nodes {
		if r != nil {
			r.waitPeers(2)
		}
	}
}

// member is somebody at an HTTP address who says what it is told to.
func member(t *testing.T, answer func(http.ResponseWriter, *http.Request)) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(srv.Close)
	return srv.URL
}

func says(t *testing.T, id api.ID) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(id); err != nil {
			t.Error(err)
		}
	}
}

// All contacts are asked at once: here each answers only when all were asked.
func TestContactsAreAskedSideBySide(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	all.Add(3)
	var cfg Config
	for range 3 {
		asked := sync.OnceFunc(all.Done)
		cfg.Peers = append(cfg.Peers, member(t, func(w http.ResponseWriter, r *http.Request) {
			asked()
			all.Wait()
			w.WriteHeader(http.StatusTeapot)
		}))
	}
	cfg.Private = true
	_, err := tryStart(t, cfg)
	if api.CodeOf(err) != api.CodeNotShoal || strings.Count(err.Error(), "418") != 3 {
		t.Errorf("%v", err)
	}
}

// One that never answers, and one at which nobody is, delay nobody.
func TestFirstContactThatAdmitsWins(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true})
	never := member(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	wrong := member(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	b := start(t, Config{Private: true, Peers: []string{never, "http://" + freePort(t), wrong, "http://" + a.offer.API}, Token: a.offer.Join.Token})
	b.waitPeers(2)
	c := start(t, Config{Home: t.TempDir(), Join: a.offer.API, Peers: []string{wrong}, Token: a.offer.Join.Token})
	c.waitPeers(3)
}

func TestContactsThatAreRefused(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true})
	other := start(t, Config{Private: true, Initial: true})
	host, port, _ := strings.Cut(a.offer.API, ":")
	pinned := "/ip4/" + host + "/tcp/" + port + "/http/p2p/"
	stranger := test.RandPeerIDFatal(t).String()
	key, err := p2p.LoadSwarmKey(a.home + "/swarm.key")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir() // of the swarm of a, by its key
	if err := key.Save(home + "/swarm.key"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		cfg  Config
		code api.Code
		says []string
	}{
		{"another peer than was named", Config{Private: true, Peers: []string{pinned + stranger}, Token: a.offer.Join.Token}, api.CodeInvalid, []string{string(a.id), stranger, "use its ID"}},
		{"a member that poses as another", Config{Private: true, Peers: []string{member(t, says(t, api.ID{Peer: stranger, Addrs: []string{"/ip4/127.0.0.1/tcp/1"}, Private: true}))}, Token: a.offer.Join.Token},
			api.CodeNotShoal, []string{"request to join"}},
		{"no peer ID", Config{Join: member(t, says(t, api.ID{Peer: "12D3", Addrs: []string{"/ip4/127.0.0.1/tcp/1"}}))}, api.CodeNotShoal, []string{`"12D3"`, "no peer ID"}},
		{"no multiaddr", Config{Join: member(t, says(t, api.ID{Peer: stranger, Addrs: []string{"127.0.0.1:1"}}))}, api.CodeNotShoal, []string{`"127.0.0.1:1"`, "no multiaddr"}},
		{"no address", Config{Join: member(t, says(t, api.ID{Peer: stranger}))}, api.CodeNotShoal, []string{"no address"}},
		{"another swarm", Config{Home: home, Join: other.offer.API}, api.CodeInvalid, []string{"swarm " + key.Fingerprint(), "another --home"}},
		{"a token and nobody to show it to", Config{Private: true, Token: a.offer.Join.Token}, api.CodeInvalid, []string{"--join IP"}},
		{"an ID where HTTP is needed", Config{Join: "/ip4/127.0.0.1/tcp/1235/p2p/" + stranger}, api.CodeInvalid, []string{"HTTP address", "/tcp/1234/http"}},
		{"a private swarm that was not asked for", Config{Peers: []string{"http://" + a.offer.API}}, api.CodeInvalid, []string{"private swarm", "--join"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.ShowCode = func(string, time.Duration) { t.Error("it shows a code") }
			_, err := tryStart(t, c.cfg)
			if err == nil {
				t.Fatal("it started")
			}
			if got := api.CodeOf(err); got != c.code {
				t.Errorf("%v (%s), want %s", err, got, c.code)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("the error does not say %q: %v", s, err)
				}
			}
			if c.cfg.Token != "" && strings.Contains(err.Error(), c.cfg.Token) {
				t.Error("the error has the token in it")
			}
		})
	}
	b := start(t, Config{Private: true, Peers: []string{pinned + string(a.id)}, Token: a.offer.Join.Token})
	b.waitPeers(2)
}

// A token is held against the clock of the joiner and of the member, and the error
// says against whose.
func TestWhoseClockIsOff(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true, Clock: inAnHour})
	b := start(t, Config{Join: a.offer.API, Token: a.offer.Join.Token})
	b.waitPeers(2)
	short, err := b.Token(t.Context(), 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for whose, cfg := range map[string]Config{
		"by that node's clock":    {Join: a.offer.API, Token: short.Token},
		"by this machine's clock": {Join: b.offer.API, Token: short.Token, Clock: inAnHour},
	} {
		if _, err := tryStart(t, cfg); api.CodeOf(err) != api.CodeTokenExpired || !strings.Contains(err.Error(), whose) {
			t.Errorf("%v; want one %s", err, whose)
		}
	}
	start(t, Config{Join: b.offer.API, Token: short.Token}).waitPeers(3)
}

// A name is as good as an IP, for the HTTP address and for the peer's own.
func TestContactsByName(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true, Labels: map[string]string{"site": "attic"}})
	_, port, _ := strings.Cut(a.offer.API, ":")
	b := start(t, Config{Private: true, Peers: []string{"/dns4/localhost/tcp/" + port + "/http"}, Token: a.offer.Join.Token})
	b.waitPeers(2)
	home := t.TempDir()
	key, err := p2p.LoadSwarmKey(a.home + "/swarm.key")
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Save(home + "/swarm.key"); err != nil {
		t.Fatal(err)
	}
	var own string
	for _, at := range a.offer.ID.Addrs {
		if _, after, ok := strings.Cut(at, "/ip4/127.0.0.1/"); ok {
			own = "/dns4/localhost/" + after
		}
	}
	c := start(t, Config{Home: home, Private: true, Peers: []string{own}})
	c.waitPeers(3)
}

// A node with another swarm's key, or none, is told so within a moment.
func TestWrongSwarmKeyIsSaid(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true})
	other := t.TempDir()
	key, err := p2p.NewSwarmKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Save(other + "/swarm.key"); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{"another": {Home: other, Private: true}, "none": {}} {
		cfg.Peers = []string{a.offer.ID.Addrs[0]}
		log := &notes{}
		if _, err := tryStartLogging(t, cfg, log.log()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the log of the node with "+name+" says what is wrong", func(context.Context) bool {
			return strings.Contains(log.String(), "wrong or missing swarm key")
		})
		if strings.Contains(log.String(), p2p.ErrSilent.Error()) {
			t.Errorf("the node with %s guessed: %s", name, log)
		}
	}
}
