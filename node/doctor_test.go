package node

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// doctor is the report of a running node, by the names of its checks.
func (r *running) doctor() map[string][]api.Check {
	r.t.Helper()
	report, err := r.Doctor(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return byName(report)
}

func byName(report api.Report) map[string][]api.Check {
	out := map[string][]api.Check{}
	for _, c := range report.Checks {
		out[c.Name] = append(out[c.Name], c)
	}
	return out
}

// finds checks that one check of a name has a status and says something.
func finds(t *testing.T, got map[string][]api.Check, name string, want api.Status, says ...string) {
	t.Helper()
	for _, c := range got[name] {
		whole := c.About + ": " + c.Message + "; " + c.Next
		found := c.Status == want
		for _, s := range says {
			found = found && strings.Contains(whole, s)
		}
		if found {
			return
		}
	}
	t.Errorf("no check %q is %s and says %q: %+v", name, want, says, got[name])
}

func TestDoctorAmongPeers(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true})
	token, err := a.Token(t.Context(), 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, Config{Join: a.offer.API, Token: token.Token, Clock: inAnHour})
	a.waitPeers(2)
	b.waitPeers(2)

	got := a.doctor()
	finds(t, got, "clock", api.Warning, "peer "+b.id.Short(), "1h0m0s ahead of that of this node, peer "+a.id.Short(), "join tokens expire by it")
	finds(t, got, "reach", api.OK, "peers: reached at /ip4/127.0.0.1/tcp/", "by 1 peer")
	finds(t, got, "reach", api.OK, "api: reached at "+a.offer.API)
	finds(t, got, "peer", api.OK, "peer "+b.id.Short()+": answers at /ip4/127.0.0.1/tcp/")
	finds(t, got, "gossip", api.OK, "the last standing bid")
	finds(t, got, "engine", api.OK, "a program was run with")
	finds(t, got, "listen", api.OK, "/ip4/127.0.0.1/tcp/")
	finds(t, got, "api", api.OK, a.offer.API)
	finds(t, got, "firewall", api.OK, "on loopback")
	finds(t, got, "home", api.OK, a.home)
	finds(t, got, "sandbox", map[bool]api.Status{true: api.OK, false: api.Warning}[sandboxCheck().Status == api.OK], "")
	for _, name := range []string{"disk", "memory", "files", "date"} {
		if len(got[name]) != 1 {
			t.Errorf("%d checks %s", len(got[name]), name)
		}
	}
	finds(t, b.doctor(), "clock", api.Warning, "peer "+a.id.Short(), "1h0m0s behind that of this node, peer "+b.id.Short())

	if err := os.Chmod(filepath.Join(a.home, "swarm.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	finds(t, a.doctor(), "keys", api.Problem, "swarm.key", "chmod 600")
}

// A peer that was named and is in another swarm is told from one that is away.
func TestDoctorNamesTheSwarmKey(t *testing.T) {
	t.Parallel()
	foreign := start(t, Config{Private: true, Initial: true})
	key, err := os.ReadFile(filepath.Join(start(t, Config{Private: true, Initial: true}).home, "swarm.key"))
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "swarm.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	a := start(t, Config{Home: home, Peers: foreign.offer.ID.Addrs[:1]})
	var got map[string][]api.Check
	for len(got["named"]) == 0 && t.Context().Err() == nil {
		got = a.doctor()
	}
	finds(t, got, "named", api.Problem, foreign.id.Short(), "wrong or missing swarm key", "another swarm")
	finds(t, got, "peers", api.OK, "no other peer")
}

func TestNeighbourTriesTheCallerAlone(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true})
	b := start(t, Config{Join: a.offer.API, Token: a.offer.Join.Token})
	a.waitPeers(2)
	b.waitPeers(2)
	got := b.doctor()
	finds(t, got, "reach", api.OK, "by 1 peer")

	n := &neighbour{tries: rate.NewLimiter(0, 0)}
	if _, err := n.Reach(t.Context(), "no peer", api.ReachRequest{}); api.CodeOf(err) != api.CodeForbidden {
		t.Errorf("a caller that is no peer: %v", err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if got := reachAPI(t.Context(), a.id, []string{b.offer.API, a.offer.API, "127.0.0.1:1"}); len(got) != 3 ||
		!strings.Contains(got[0].Error, string(b.id)+" answers there") || got[1].Error != "" || !strings.Contains(got[2].Error, "nobody answers") {
		t.Errorf("the HTTP API of a: %+v", got)
	}
}

func TestReachCheck(t *testing.T) {
	finds(t, byName(api.Report{Checks: []api.Check{reachCheck("reach", "peers", []api.Reached{{Addr: "/ip4/10.0.0.7/tcp/1235", Error: "refused"}}, 2)}}),
		"reach", api.Warning, "2 peers tried", "/ip4/10.0.0.7/tcp/1235: refused", "firewall")
	finds(t, byName(api.Report{Checks: []api.Check{reachCheck("reach", "api", []api.Reached{{Addr: "10.0.0.7:1234", Error: "refused"}}, 1)}}),
		"reach", api.Warning, "1 peer tried", "HTTP API", "cannot join")
}

func TestExamine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	home := filepath.Join(t.TempDir(), "none")
	got := byName(Examine(Config{Home: home, API: taken.Addr().String(), Listen: []string{"/ip4/127.0.0.1/tcp/" + port(taken), "/ip4/127.0.0.1/udp/1/quic-v1"}, MaxMemory: 1 << 50}))
	finds(t, got, "node", api.Warning, "no node runs", home)
	finds(t, got, "home", api.OK, "not there yet")
	finds(t, got, "api", api.Problem, taken.Addr().String(), "--api")
	finds(t, got, "listen", api.Problem, port(taken), "--listen")
	finds(t, got, "memory", api.Warning, "1024 TiB", "--max-memory")
	amount := strings.Fields(got["memory"][0].Next)[5] // start the node with --max-memory N
	if err := new(job.Bytes).UnmarshalText([]byte(amount)); err != nil {
		t.Errorf("what it says to give with --max-memory is refused: %v", err)
	}
	if _, err := os.Stat(home); err == nil {
		t.Error("it made the home")
	}
	for name, at := range map[string]func(dir string) string{
		"it is no folder":  func(dir string) string { f := filepath.Join(dir, "f"); _ = os.WriteFile(f, nil, 0o600); return f },
		"others may write": func(dir string) string { _ = os.Chmod(dir, 0o777); return dir },
		"not a directory": func(dir string) string {
			f := filepath.Join(dir, "f")
			_ = os.WriteFile(f, nil, 0o600)
			return filepath.Join(f, "g")
		},
	} {
		finds(t, byName(Examine(Config{Home: at(t.TempDir()), API: "127.0.0.1:0", Listen: []string{"/ip4/127.0.0.1/tcp/0"}})), "home", api.Problem, name)
	}
	finds(t, byName(api.Report{Checks: []api.Check{dateCheck(time.Unix(1000, 0))}}), "date", api.Warning, "1970-01-01", "set its clock")
	if c := diskCheck("/dev/shm"); c.Status == api.OK {
		t.Errorf("a home in memory: %+v", c)
	}
	if c := diskCheck("/proc"); c.Status != api.Problem {
		t.Errorf("a home where no byte is free: %+v", c)
	}
}

var _ api.Neighbour = (*neighbour)(nil)
