package api

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// fake is a backend in memory. A field that is set answers in place of the
// method of its name.
type fake struct {
	mu     sync.Mutex
	got    []string // what was asked, in order
	pins   []Pin
	ready  bool
	submit func(context.Context, Submission) (Receipt, error)
	job    func(context.Context, string) (job.Job, error)
	list   func(context.Context) (JobList, error)
	watch  func(context.Context, string, func(job.Job) error) error
	logs   func(context.Context, string, LogOptions, func(LogChunk) error) error
	add    func(context.Context, io.Reader) (Added, error)
	tar    func(context.Context, string, io.Writer) error
	join   func(context.Context, []byte) ([]byte, error)

	joinFrom func(ctx context.Context, remote string, msg []byte) ([]byte, error)
	pin      func(context.Context, string) (Pin, error)
	late     error  // ends lists after their last element
	rest     func() // called before the last pin is listed
}

var when = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func aJob(id string, s job.State) job.Job {
	j := job.Job{
		ID: job.ID(id), Submitter: "12D3KooWSubmitter", Submitted: when,
		Spec: job.Spec{
			Name: "count", Task: job.Task{WASM: &job.WASM{Module: "ipfs://bafymodule"}, Args: []string{"-n", "1"}},
			Resources: job.Resources{CPU: 500, Memory: 256 << 20}, Timeout: job.Duration(90 * time.Second),
			Inputs: []job.Input{{From: "ipfs://bafyin", At: "/inputs/in"}}, Outputs: []job.OutputDir{{Name: "out", At: "/outputs/out"}},
		},
		Tasks: []job.Progress{{State: s, Attempt: 1, Executor: "12D3KooWExecutor", Started: when, Tried: []job.PeerID{"12D3KooWTried"}}},
		History: []job.Event{
			{Attempt: job.Attempt{Job: job.ID(id)}, Kind: job.Submitted, At: when, Submitter: "12D3KooWSubmitter"},
			{Attempt: job.Attempt{Job: job.ID(id), Attempt: 1}, Kind: job.AwardedTo, At: when, Peer: "12D3KooWExecutor",
				Offers: []job.Offer{{Peer: "12D3KooWExecutor", Free: job.Room{CPU: 2000, Memory: 1 << 30}}}},
		},
	}
	if s.Terminal() {
		j.Tasks[0].Ended = when
		j.Tasks[0].Result = &job.Result{Outputs: []job.Output{{Name: "out", CID: "bafyout", Size: 1234}}, Usage: job.Usage{CPU: 1, Wall: 2, Memory: 3}}
	}
	return j
}

func (f *fake) saw(what ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, strings.Join(what, " "))
}

func (f *fake) Submit(ctx context.Context, s Submission) (Receipt, error) {
	f.saw("submit", s.Nonce)
	if f.submit != nil {
		return f.submit(ctx, s)
	}
	return Receipt{ID: job.NewID("abcde", s.Nonce), Copies: 1}, nil
}

func (f *fake) Job(ctx context.Context, id string) (job.Job, error) {
	f.saw("job", id)
	if f.job != nil {
		return f.job(ctx, id)
	}
	return aJob("k7q2aaaaaaaaa", job.Done), nil
}

func (f *fake) List(ctx context.Context) (JobList, error) {
	f.saw("list")
	if f.list != nil {
		return f.list(ctx)
	}
	return JobList{
		Jobs:   []Summary{{ID: "k7q2aaaaaaaaa", Name: "count", State: job.Running, Submitted: when, Submitter: "12D3KooWSubmitter", Attempt: 1}},
		Silent: []job.PeerID{"12D3KooWSilent"},
	}, nil
}

func (f *fake) Watch(ctx context.Context, id string, see func(job.Job) error) error {
	f.saw("watch", id)
	if f.watch != nil {
		return f.watch(ctx, id, see)
	}
	for _, s := range []job.State{job.Waiting, job.Running, job.Done} {
		if err := see(aJob(id, s)); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) Cancel(_ context.Context, id string) (job.Job, error) {
	f.saw("cancel", id)
	return aJob("k7q2aaaaaaaaa", job.Cancelled), nil
}

func (f *fake) Logs(ctx context.Context, id string, o LogOptions, see func(LogChunk) error) error {
	f.saw("logs", id)
	if f.logs != nil {
		return f.logs(ctx, id, o, see)
	}
	return see(LogChunk{Attempt: 1, Stream: "stdout", Data: []byte("hello\n")})
}

func (f *fake) Add(ctx context.Context, tar io.Reader, name string) (Added, error) {
	if f.add != nil {
		return f.add(ctx, tar)
	}
	f.saw("add", name)
	n, err := io.Copy(io.Discard, tar)
	return Added{CID: "bafyadded", Size: job.Bytes(n)}, err
}

func (f *fake) Tar(ctx context.Context, path string, w io.Writer) error {
	f.saw("tar", path)
	if f.tar != nil {
		return f.tar(ctx, path, w)
	}
	_, err := io.WriteString(w, "tar of "+path)
	return err
}

func (f *fake) Cat(_ context.Context, path string, w io.Writer) error {
	f.saw("cat", path)
	_, err := io.WriteString(w, "bytes of "+path)
	return err
}

func (f *fake) Ls(_ context.Context, path string, see func(Entry) error) error {
	f.saw("ls", path)
	for _, e := range []Entry{{Name: "a", Kind: "file", Size: 5, CID: "bafya"}, {Name: "sub", Kind: "folder", Size: 1 << 40, CID: "bafysub"}} {
		if err := see(e); err != nil {
			return err
		}
	}
	return f.late
}

func (f *fake) Pins(_ context.Context, what string, see func(Pin) error) error {
	f.saw("pins", what)
	for i, p := range f.pins {
		if f.rest != nil && i == len(f.pins)-1 {
			f.rest()
		}
		if err := see(p); err != nil {
			return err
		}
	}
	return f.late
}

func (f *fake) Pin(ctx context.Context, r PinRequest) (Pin, error) {
	f.saw("pin", r.CID, r.Name)
	if f.pin != nil {
		return f.pin(ctx, r.CID)
	}
	return Pin{CID: r.CID, Name: r.Name}, nil
}

func (f *fake) Unpin(_ context.Context, what string) (Pin, error) {
	f.saw("unpin", what)
	if what == "bafynone" {
		return Pin{}, Errorf(CodeNotFound, "%s is not pinned", what)
	}
	return Pin{CID: "bafywas", Name: what}, nil
}

func (f *fake) Collect(_ context.Context, dry bool) (Collected, error) {
	f.saw("gc", fmt.Sprint(dry))
	return Collected{Blocks: 3, Bytes: 3 << 20, KeptBlocks: 1, KeptBytes: 5}, nil
}

func (f *fake) Status(ctx context.Context) (NodeStatus, error) {
	return NodeStatus{ID: f.ID(ctx), API: "127.0.0.1:1234", Uptime: time.Minute, Engine: "wazero", Peers: 2, Running: 1,
		Storage: StoreUsage{Used: 1 << 20, Limit: 1 << 30, Free: 1 << 32, Pins: 4, Pinned: 1 << 19}}, nil
}

func (f *fake) ID(context.Context) ID {
	return ID{Peer: "12D3KooWMe", Addrs: []string{"/ip4/127.0.0.1/tcp/1235/p2p/12D3KooWMe"}, Private: true, Swarm: "beef", Version: "v0"}
}

func (f *fake) Peers(context.Context) []Peer {
	room := job.Room{CPU: 1500, Memory: 1 << 30}
	return []Peer{{ID: "12D3KooWMe", Self: true, Labels: map[string]string{"site": "attic"}, Free: &room, Total: &room, RTT: 5, Seen: 6}}
}

func (f *fake) Ready() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ready
}

func (f *fake) Token(_ context.Context, ttl time.Duration) (Token, error) {
	f.saw("token", ttl.String())
	return Token{Token: "shoal1…", Expires: when.Add(ttl), Line: "SHOAL_TOKEN=… node serve --join 10.0.0.7"}, nil
}

func (f *fake) Join(ctx context.Context, remote string, msg []byte) ([]byte, error) {
	if f.joinFrom != nil {
		return f.joinFrom(ctx, remote, msg)
	}
	if f.join != nil {
		return f.join(ctx, msg)
	}
	return append([]byte("answer to "), msg...), nil
}

func (f *fake) Waiting(context.Context) (JoinList, error) {
	f.saw("waiting")
	return JoinList{Requests: []JoinRequest{aRequest}}, nil
}

func (f *fake) Approve(_ context.Context, code string) (Approved, error) {
	f.saw("approve", code)
	return Approved{Joiner: "12D3KooWJoiner", Address: aRequest.Address, At: aRequest.At}, nil
}

func (f *fake) Requests(context.Context) ([]JoinRequest, error) {
	f.saw("requests")
	return []JoinRequest{aRequest}, nil
}

func (f *fake) Answer(_ context.Context, id string, a JoinAnswer) (JoinRequest, error) {
	f.saw("answer", id, string(a.Joiner), string(a.Message))
	if id != aRequest.ID {
		return JoinRequest{}, Errorf(CodeNotFound, "no machine waits with request %s", id)
	}
	return aRequest, nil
}

var aRequest = JoinRequest{ID: "k7q2", Address: "10.0.0.9:4000", Age: 7, State: JoinWaiting, At: "12D3KooWMe", Message: []byte("hi")}

// localServer serves b on a loopback port and gives back a client for it.
func localServer(t *testing.T, b Backend, change ...func(*routes)) (*Client, *httptest.Server) {
	t.Helper()
	r := local(b, zaptest.NewLogger(t))
	for _, c := range change {
		c(r)
	}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	return NewClient(srv.URL), srv
}

func (f *fake) Doctor(context.Context) Report {
	return Report{Checks: []Check{{Name: "clock", About: "12D3KooWPeer", Status: Warning, Message: "an hour off", Next: "set it"}}}
}

func (f *fake) Now() time.Time { return when }

func (f *fake) Reach(_ context.Context, caller job.PeerID, r ReachRequest) (Reach, error) {
	f.saw("reach", string(caller), strconv.Itoa(r.API))
	return Reach{Peers: []Reached{{Addr: "/ip4/10.0.0.7/tcp/1235"}}}, nil
}
