package node

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// guest is the module built from testdata/guest.c, once a test run.
var guest = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "shoal-guest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	c := exec.Command("clang", "--target=wasm32-wasi", "-Os", "-s", "-nodefaultlibs", "-lc", "-o", out, "testdata/guest.c")
	if b, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the guest (`make deps` installs clang and wasi-libc): %w\n%s", err, b)
	}
	return os.ReadFile(out)
})

func TestMain(m *testing.M) {
	MaybeChild() // the guests of these tests run in this binary, started again
	// Under the race detector, each process would sleep for a second at its end.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	unix.Umask(0o022) // t.TempDir honours it, and no node starts in a home that others can write
	os.Exit(m.Run())
}

// running is a node that a test started.
type running struct {
	*api.Client
	t     *testing.T
	home  string
	cfg   Config
	offer Offer
	id    job.PeerID
	stop  func() error // ends it and returns what Run returned
}

// start runs a node on loopback, with ports of its own, until the test ends.
func start(t *testing.T, cfg Config) *running {
	t.Helper()
	r, err := tryStart(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryStart(t *testing.T, cfg Config) (*running, error) {
	t.Helper()
	return tryStartLogging(t, cfg, quiet(t))
}

func tryStartLogging(t *testing.T, cfg Config, log *zap.Logger) (*running, error) {
	t.Helper()
	if cfg.Home == "" {
		cfg.Home = t.TempDir()
	}
	if len(cfg.Listen) == 0 {
		cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	}
	if cfg.API == "" {
		cfg.API = "127.0.0.1:0"
	}
	n, err := New(cfg, log)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan Offer, 1), make(chan error, 1)
	go func() { done <- n.Run(ctx, func(o Offer) { ready <- o }) }()
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("node %s ended with: %v", cfg.Home, err)
		}
	})
	select {
	case o := <-ready:
		return &running{Client: api.NewClient(SocketPath(cfg.Home)), t: t, home: cfg.Home, cfg: cfg, offer: o, id: job.PeerID(o.ID.Peer), stop: stop}, nil
	case err := <-done:
		done <- nil // for the cleanup
		if err == nil {
			err = errors.New("the node ended before it was ready")
		}
		return nil, err
	}
}

// quiet logs what is worth a look into the test's own output.
func quiet(t *testing.T) *zap.Logger {
	return zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))
}

// three makes a private swarm of three, each entering by another way, and waits
// until every roster is full.
func three(t *testing.T) (a, b, c *running) {
	t.Helper()
	a = start(t, Config{Private: true, Initial: true, Labels: map[string]string{"site": "attic"}})
	b = start(t, Config{Join: a.offer.API, Token: a.offer.Join.Token, Labels: map[string]string{"site": "barn"}})
	host, port, _ := strings.Cut(a.offer.API, ":")
	c = start(t, Config{Private: true, Peers: []string{fmt.Sprintf("/ip4/%s/tcp/%s/http", host, port)}, Token: a.offer.Join.Token, Labels: map[string]string{"site": "cellar"}})
	for _, r := range []*running{a, b, c} {
		r.waitPeers(3)
	}
	return a, b, c
}

// eventually calls f until it says yes.
func eventually(t *testing.T, what string, f func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !f(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}

// waitPeers waits until the node's roster has n peers, each able to run WASM and
// with a bid.
func (r *running) waitPeers(n int) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("the roster of %s has %d peers with bids", r.cfg.Labels["site"], n), func(ctx context.Context) bool {
		peers, err := r.Peers(ctx)
		if err != nil {
			r.t.Fatal(err)
		}
		able := 0
		for _, p := range peers {
			if p.Free != nil && p.Labels["wasm"] != "" {
				able++
			}
		}
		return able == n
	})
}

// add stores one file and returns its CID.
func (r *running) add(name string, data []byte) string {
	r.t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}), second(w.Write(data)), w.Close()); err != nil {
		r.t.Fatal(err)
	}
	added, err := r.Add(r.t.Context(), &b, "")
	if err != nil {
		r.t.Fatal(err)
	}
	return added.CID
}

func second[T any](_ T, err error) error { return err }

// job is a submission that runs the test's guest with these arguments.
func (r *running) job(args ...string) api.Submission {
	r.t.Helper()
	module, err := guest()
	if err != nil {
		r.t.Fatal(err)
	}
	return api.Submission{
		Nonce: rand.Text(),
		Spec:  job.Spec{Task: job.Task{WASM: &job.WASM{Module: "ipfs://" + r.add("guest.wasm", module)}, Args: args}},
	}
}

// submit submits and returns the job's ID.
func (r *running) submit(s api.Submission) string {
	r.t.Helper()
	receipt, err := r.Submit(r.t.Context(), s)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(receipt.ID)
}

// wait returns the job when it has ended.
func (r *running) wait(id string) job.Job {
	r.t.Helper()
	return r.waitFor(id, "it ends", func(j job.Job) bool { return j.Terminal() })
}

func (r *running) waitFor(id, what string, is func(job.Job) bool) job.Job {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	enough := errors.New("enough")
	var last job.Job
	err := r.Watch(ctx, id, func(j job.Job) error {
		if last = j; is(j) {
			return enough
		}
		return nil
	})
	if !is(last) {
		r.t.Fatalf("waited for job %s until %s: %v; it is %+v", id, what, err, last)
	}
	return last
}

// output is all that the job has written so far.
func (r *running) output(id string, o api.LogOptions) (stdout, stderr string) {
	r.t.Helper()
	var out, errs strings.Builder
	err := r.Logs(r.t.Context(), id, o, func(c api.LogChunk) error {
		if c.Stream == "stdout" {
			out.Write(c.Data)
		} else {
			errs.Write(c.Data)
		}
		return nil
	})
	if err != nil {
		r.t.Fatalf("logs of %s: %v", id, err)
	}
	return out.String(), errs.String()
}
