package cli

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/node/api/sign"
)

func TestNodeAddress(t *testing.T) {
	const id = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"
	for where, want := range map[string]string{
		"10.0.0.7":                  "http://10.0.0.7:1234",
		"10.0.0.7:80":               "http://10.0.0.7:80",
		"attic":                     "http://attic:1234",
		"attic.local:4321":          "http://attic.local:4321",
		"2001:db8::1":               "http://[2001:db8::1]:1234",
		"[2001:db8::1]":             "http://[2001:db8::1]:1234",
		"[2001:db8::1]:80":          "http://[2001:db8::1]:80",
		"http://attic":              "http://attic",
		"https://shoal.example.org": "https://shoal.example.org",
		id + "@attic":               "http://" + id + "@attic:1234",
		id + "@[::1]:80":            "http://" + id + "@[::1]:80",
		"/run/shoal/api.sock":       "/run/shoal/api.sock",
		"./h/api.sock":              "./h/api.sock",
		"unix:///run/api.sock":      "/run/api.sock",
	} {
		got, socket, err := nodeAddress(where)
		if err != nil || got != want || socket == strings.HasPrefix(want, "http") {
			t.Errorf("%s: got %q, socket %v, %v", where, got, socket, err)
		}
	}
	for where, says := range map[string]string{
		"ssh://attic":            "not asked by ssh://",
		"/ip4/10.0.0.7/tcp/1235": "is a multiaddr",
		"/dns4/attic/tcp/1234":   "is a multiaddr",
		"a:b:c":                  "too many colons",
	} {
		if _, _, err := nodeAddress(where); err == nil || api.ExitCode(err) == 0 || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v", where, err)
		}
	}
}

// Whatever takes --home asks a node, or is known to be about this machine.
func TestEveryCommandTakesNode(t *testing.T) {
	var local []string
	var look func(commands []*cli.Command, path ...string)
	look = func(commands []*cli.Command, path ...string) {
		for _, c := range commands {
			path := append(path, c.Name)
			look(c.Subcommands, path...)
			takes := func(name string) bool {
				return slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return f.Names()[0] == name })
			}
			if takes("home") && !takes("node") {
				local = append(local, strings.Join(path, " "))
			}
			if takes("node") && !takes("home") {
				t.Errorf("%s takes --node and no --home", strings.Join(path, " "))
			}
		}
	}
	look((&program{name: "node"}).app().Commands)
	slices.Sort(local)
	want := slices.Sorted(slices.Values(onThisMachine))
	if !slices.Equal(local, want) {
		t.Errorf("without --node are %q, want %q", local, want)
	}
}

// remote serves f over TCP until the test ends, for the key in a folder of its
// own, and returns its address. stop is that of fakeNode.start.
func (f *fakeNode) remote(t *testing.T, at string) (addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := clientKey()
	if err != nil {
		t.Fatal(err)
	}
	allowed := func(k sign.Key) error {
		if k != sign.KeyOf(key) {
			return api.Errorf(api.CodeForbidden, "this node does not list your key")
		}
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- api.Serve(ctx, l, api.Public(f, allowed, zap.NewNop()), zap.NewNop()) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

func TestRemoteNode(t *testing.T) {
	t.Setenv("SHOAL_CLIENT_KEY", filepath.Join(t.TempDir(), "client.key"))
	addr, _ := newFake("logs").remote(t, "127.0.0.1:0")
	code, stdout, stderr := run(t.Context(), "submit", jobFolder(t, "ok"), "--node", addr, "--follow")
	if code != 0 || stdout != "k7q2e00000001\ncounting\nwords\n" || !strings.Contains(stderr, "broke off; trying again") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	// A hint names the node as it was named.
	if code, _, stderr = run(t.Context(), "submit", jobFolder(t, "hang"), "--wait", "--timeout", "50ms", "--node", addr); code != 4 || !strings.Contains(stderr, "node logs -f k7q2e00000002 --node "+addr) {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
	t.Setenv("SHOAL_NODE", addr)
	if code, _, stderr = run(t.Context(), "wait", "k7q2e00000002", "--timeout", "50ms"); code != 4 || strings.Contains(stderr, "--node") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
	// What was typed comes before the environment.
	home := t.TempDir()
	if code, _, stderr = run(t.Context(), "list", "--home", home); code != 3 || !strings.Contains(stderr, filepath.Join(home, "api.sock")) {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
	if code, _, stderr = run(t.Context(), "list", "--home", home, "--node", addr); code != 2 || !strings.Contains(stderr, "give one") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
	if code, _, stderr = run(t.Context(), "serve", "--node", addr); code != 2 || !strings.Contains(stderr, "takes no --node") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
	// Nobody can start a node there from here.
	if code, _, stderr = run(t.Context(), "list", "--node", "127.0.0.1:1"); code != 3 || strings.Contains(stderr, "Start it with") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
	t.Setenv("SHOAL_CLIENT_KEY", filepath.Join(t.TempDir(), "other.key"))
	if code, _, stderr = run(t.Context(), "list"); code != 1 || !strings.Contains(stderr, "does not list your key") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
	t.Setenv("SHOAL_CLIENT_KEY", home)
	if code, _, stderr = run(t.Context(), "list"); code != 1 || !strings.Contains(stderr, "is not a regular file") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
}

// A node that is started anew while a command waits over TCP knows none of its
// nonces, and the command goes on.
func TestRemoteNodeIsStartedAnew(t *testing.T) {
	t.Setenv("SHOAL_CLIENT_KEY", filepath.Join(t.TempDir(), "client.key"))
	f := newFake()
	addr, stop := f.remote(t, "127.0.0.1:0")
	watching := make(chan struct{}, 100)
	f.mu.Lock()
	f.refuse = func(call string) error {
		if call == "watching" {
			watching <- struct{}{}
		}
		return nil
	}
	f.mu.Unlock()
	if code, _, stderr := run(t.Context(), "submit", jobFolder(t, "hang"), "--node", addr); code != 0 {
		t.Fatal(stderr)
	}
	type ending struct {
		code           int
		stdout, stderr string
	}
	done := make(chan ending, 1)
	go func() {
		code, stdout, stderr := run(t.Context(), "wait", theJob, "--node", addr)
		done <- ending{code, stdout, stderr}
	}()
	<-watching
	stop()
	f.remote(t, addr)
	<-watching
	if code, _, stderr := run(t.Context(), "cancel", theJob, "--node", addr); code != 0 {
		t.Fatal(stderr)
	}
	if e := <-done; e.code != 1 || !strings.Contains(e.stdout, theJob+" cancelled") || strings.Contains(e.stderr, "nonce") {
		t.Errorf("%+v", e)
	}
}

func TestClientKeyFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("SHOAL_CLIENT_KEY", "")
	is := func(want string) {
		t.Helper()
		if got, err := clientKeyFile(); err != nil || got != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	is(filepath.Join(dir, ".config/shoal/client.key"))
	t.Setenv("XDG_CONFIG_HOME", "relative")
	is(filepath.Join(dir, ".config/shoal/client.key"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "xdg"))
	is(filepath.Join(dir, "xdg/shoal/client.key"))
	t.Setenv("SHOAL_CLIENT_KEY", "mine")
	is("mine")
	t.Setenv("SHOAL_CLIENT_KEY", "")
	if _, _, err := clientKey(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "xdg/shoal/client.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
