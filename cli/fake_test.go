package cli

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// fakeNode answers the API from memory. A job does what its first argument
// says: end well (the default), "fail" with code 3, "hang" until it is
// cancelled, "wait" for a peer that never comes, "lose" its output with the peer
// that ran it. What breaks says fails once, in the middle, as if the connection
// had broken; and if it says "silent", two peers do not answer.
type fakeNode struct {
	api.Backend // what no command asks for
	mu          sync.Mutex
	jobs        []*job.Job
	nonces      map[string]job.ID
	content     map[string][]byte // archives by CID
	pins        []api.Pin
	labels      map[string]string // that were set
	breaks      map[string]bool   // submit, logs, tar
	ended       chan struct{}     // closed when the job that hangs was cancelled

	// refuse, if set, may answer in place of Watch ("watch") and Logs ("logs"), and
	// again when these have told what there is and wait ("watching", "logging").
	refuse func(call string) error
}

const (
	here  = "12D3KooWMeetsTheEyeOnThisSideXVgk2y8Q"
	there = "12D3KooWFarAwayAndRunsTheTaskk9PzR4tM"
	gone  = "12D3KooWWasHereAndRanTheTaskPq7mZ3cW"
)

var day = time.Date(2020, 3, 1, 12, 0, 0, 0, time.UTC)

// test is a test, or a script that is one.
type test interface {
	Cleanup(func())
	Error(args ...any)
	Fatal(args ...any)
}

func newFake(breaks ...string) *fakeNode {
	f := &fakeNode{nonces: map[string]job.ID{}, content: map[string][]byte{}, breaks: map[string]bool{}, ended: make(chan struct{})}
	for _, b := range breaks {
		f.breaks[b] = true
	}
	return f
}

// startFake serves a fake node at the socket in home until the test ends.
func startFake(t test, home string, breaks ...string) *fakeNode {
	f := newFake(breaks...)
	f.start(t, home)
	return f
}

// start serves f until the test ends or stop is called, which then returns when
// the node has stopped in good order.
func (f *fakeNode) start(t test, home string) (stop func()) {
	l, err := api.ListenSocket(filepath.Join(home, "api.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- api.Serve(ctx, l, api.Local(f, zap.NewNop()), zap.NewNop()) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// asked is what refuse says of a call.
func (f *fakeNode) asked(call string) error {
	f.mu.Lock()
	refuse := f.refuse
	f.mu.Unlock()
	if refuse == nil {
		return nil
	}
	return refuse(call)
}

// snap reports whether what is to break now, and breaks it no more.
func (f *fakeNode) snap(what string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.breaks[what]
	f.breaks[what] = false
	return was
}

func (f *fakeNode) Submit(_ context.Context, s api.Submission) (api.Receipt, error) {
	f.mu.Lock()
	id, known := f.nonces[s.Nonce]
	if !known {
		id = job.ID(fmt.Sprintf("k7q2e%08d", len(f.jobs)+1))
		f.nonces[s.Nonce] = id
		f.jobs = append(f.jobs, f.make(id, s.Spec.WithDefaults()))
	}
	f.mu.Unlock()
	if f.snap("submit") {
		panic(http.ErrAbortHandler) // the job is there, the answer is lost
	}
	return api.Receipt{ID: id, Copies: 1}, nil
}

// make is a job that has gone as far as it goes by itself.
func (f *fakeNode) make(id job.ID, spec job.Spec) *job.Job {
	at := func(s int) time.Time { return day.Add(time.Duration(s) * time.Second) }
	j := &job.Job{ID: id, Spec: spec, Submitter: here, Submitted: day, Tasks: []job.Progress{{State: job.Waiting}}}
	j.History = []job.Event{{Attempt: job.Attempt{Job: id}, Kind: job.Submitted, At: day, Submitter: here}}
	act := ""
	if len(spec.Task.Args) > 0 {
		act = spec.Task.Args[0]
	}
	if act == "wait" {
		j.Reason = "no peer has region=mars"
		return j
	}
	room := job.Room{CPU: 2000, Memory: 3 << 29}
	j.History = append(j.History,
		job.Event{Attempt: job.Attempt{Job: id, Attempt: 1}, Kind: job.AwardedTo, At: at(0), Peer: there, Offers: []job.Offer{{Peer: there, Free: room}, {Peer: here, Free: job.Room{CPU: 500, Memory: 1 << 28}}}},
		job.Event{Attempt: job.Attempt{Job: id, Attempt: 1}, Kind: job.Started, At: at(1), Peer: there})
	p := &j.Tasks[0]
	p.State, p.Attempt, p.Executor, p.Started = job.Running, 1, there, at(1)
	if act == "hang" {
		return j
	}
	result := &job.Result{Usage: job.Usage{CPU: 120 * time.Millisecond, Wall: 340 * time.Millisecond, Memory: 12 << 20}}
	p.State = job.Done
	if act == "fail" {
		p.State, result.Exit = job.Failed, 3
	}
	if act == "lose" {
		p.Executor = gone
	}
	for _, o := range spec.Outputs {
		result.Outputs = append(result.Outputs, job.Output{Name: o.Name, CID: f.keep(resultTar(act)), Size: 15})
	}
	if act == "lose" {
		clear(f.content)
	}
	p.Result, p.Ended = result, at(2)
	j.History = append(j.History, job.Event{Attempt: job.Attempt{Job: id, Attempt: 1}, Kind: job.Finished, At: at(2), Peer: there, Result: result})
	return j
}

// resultTar is an output folder. That of "evil" tries to get out of where it
// is unpacked.
func resultTar(act string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h tar.Header, body string) {
		h.Size = int64(len(body))
		_ = w.WriteHeader(&h)
		_, _ = w.Write([]byte(body))
	}
	add(tar.Header{Name: "top/", Typeflag: tar.TypeDir, Mode: 0o755}, "")
	add(tar.Header{Name: "top/counts.txt", Typeflag: tar.TypeReg, Mode: 0o7777}, "the 3\nwhale 2\n")
	add(tar.Header{Name: "top/empty", Typeflag: tar.TypeReg}, "")
	add(tar.Header{Name: "top/latest", Typeflag: tar.TypeSymlink, Linkname: "counts.txt"}, "")
	if act == "evil" {
		add(tar.Header{Name: "top/passwd", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, "")
		add(tar.Header{Name: "top/up", Typeflag: tar.TypeSymlink, Linkname: "../../../secret"}, "")
		add(tar.Header{Name: "top/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, "")
	}
	_ = w.Close()
	return b.Bytes()
}

// keep stores an archive under the CID of its bytes.
func (f *fakeNode) keep(archive []byte) string {
	sum := sha256.Sum256(archive)
	hash, err := multihash.Encode(sum[:], multihash.SHA2_256)
	if err != nil {
		panic(err)
	}
	id := cid.NewCidV1(cid.Raw, hash).String()
	f.content[id] = archive
	return id
}

func (f *fakeNode) find(id string) (*job.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, j := range f.jobs {
		if j.ID.HasPrefix(id) {
			return j, nil
		}
	}
	return nil, api.Errorf(api.CodeNotFound, "no job has an ID that begins with %q", id)
}

func (f *fakeNode) Job(_ context.Context, id string) (job.Job, error) {
	j, err := f.find(id)
	if err != nil {
		return job.Job{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return j.Clone(), nil
}

func (f *fakeNode) List(context.Context) (l api.JobList, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.breaks["silent"] {
		l.Silent = []job.PeerID{gone, there}
	}
	for _, j := range f.jobs {
		l.Jobs = append(l.Jobs, api.Summary{ID: j.ID, Name: j.Spec.Name, State: j.State(), Submitted: j.Submitted, Ended: j.Ended(),
			Submitter: j.Submitter, Executor: j.Tasks[0].Executor, Attempt: j.Tasks[0].Attempt, Reason: j.Reason})
	}
	return l, nil
}

func (f *fakeNode) Watch(ctx context.Context, id string, see func(job.Job) error) error {
	if err := f.asked("watch"); err != nil {
		return err
	}
	j, err := f.Job(ctx, id)
	if err != nil {
		return err
	}
	if err := see(j); err != nil || j.Terminal() {
		return err
	}
	if err := f.asked("watching"); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-f.ended:
	}
	j, _ = f.Job(ctx, id)
	return see(j)
}

func (f *fakeNode) Cancel(ctx context.Context, id string) (job.Job, error) {
	j, err := f.find(id)
	if err != nil {
		return job.Job{}, err
	}
	f.mu.Lock()
	if !j.Terminal() {
		j.Tasks[0].State, j.Reason = job.Cancelled, "cancelled by its user"
		close(f.ended)
	}
	f.mu.Unlock()
	return f.Job(ctx, id)
}

// Logs sends a line on each stream, in pieces that overlap after a break.
func (f *fakeNode) Logs(ctx context.Context, id string, o api.LogOptions, see func(api.LogChunk) error) error {
	if err := f.asked("logs"); err != nil {
		return err
	}
	j, err := f.Job(ctx, id)
	if err != nil || j.Tasks[0].Attempt == 0 && !o.Follow {
		return err
	}
	if j.Tasks[0].Attempt == 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.ended:
			return nil
		}
	}
	const text = "counting\nwords\n"
	start := max(0, o.Stdout-3)
	if f.snap("logs") {
		_ = see(api.LogChunk{Attempt: 1, Stream: "stdout", Data: []byte(text[:5])})
		panic(http.ErrAbortHandler)
	}
	if err := see(api.LogChunk{Attempt: 1, Stream: "stdout", Offset: start, Data: []byte(text[start:])}); err != nil {
		return err
	}
	if err := see(api.LogChunk{Attempt: 1, Stream: "stderr", Data: []byte("careful\n")}); err != nil {
		return err
	}
	if err := f.asked("logging"); err != nil {
		return err
	}
	if !j.Terminal() && o.Follow {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.ended:
		}
	}
	return nil
}

// Add keeps an archive as it is, and lists what is in it for Cat.
func (f *fakeNode) Add(_ context.Context, in io.Reader, name string) (api.Added, error) {
	b, err := io.ReadAll(in)
	if err != nil {
		return api.Added{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	id := f.keep(b)
	f.pin(api.Pin{CID: id, Name: name, By: "user", Since: day, Size: job.Bytes(len(b))})
	return api.Added{CID: id, Size: job.Bytes(len(b))}, nil
}

func (f *fakeNode) archive(path string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, _, _ := strings.Cut(path, "/")
	b, ok := f.content[id]
	if !ok {
		return nil, api.Errorf(api.CodeNoSuchCID, "no peer that can be reached has %s", id)
	}
	return b, nil
}

func (f *fakeNode) Tar(_ context.Context, path string, w io.Writer) error {
	b, err := f.archive(path)
	if err != nil {
		return err
	}
	if f.snap("tar") {
		_, _ = w.Write(b[:1024]) // ends between two entries
		panic(http.ErrAbortHandler)
	}
	_, err = w.Write(b)
	return err
}

// Cat lists an archive, one entry a line.
func (f *fakeNode) Cat(_ context.Context, path string, w io.Writer) error {
	b, err := f.archive(path)
	if err != nil {
		return err
	}
	r := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := r.Next()
		if err != nil {
			return nil
		}
		body, _ := io.ReadAll(r)
		fmt.Fprintf(w, "%c %s %s%s\n", h.Typeflag, h.Name, h.Linkname, hex.EncodeToString(body))
	}
}

// pin keeps p, or gives the pin that is there its name. The caller holds mu.
func (f *fakeNode) pin(p api.Pin) api.Pin {
	i := slices.IndexFunc(f.pins, func(q api.Pin) bool { return q.CID == p.CID })
	if i < 0 {
		f.pins = append(f.pins, p)
		return p
	}
	if p.Name != "" {
		f.pins[i].Name = p.Name
	}
	return f.pins[i]
}

func (f *fakeNode) Pins(_ context.Context, what string, see func(api.Pin) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.pins {
		if what == "" || what == p.CID || what == p.Name {
			if err := see(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fakeNode) Pin(_ context.Context, r api.PinRequest) (api.Pin, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pin(api.Pin{CID: r.CID, Name: r.Name, By: "user", Since: day, Size: 5 << 20}), nil
}

func (f *fakeNode) Unpin(_ context.Context, what string) (api.Pin, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.pins, func(p api.Pin) bool { return p.CID == what || p.Name == what })
	if i < 0 {
		return api.Pin{}, api.Errorf(api.CodeNotFound, "%s is not pinned", what)
	}
	was := f.pins[i]
	f.pins = slices.Delete(f.pins, i, i+1)
	return was, nil
}

// Ls lists the archive of a folder, whose entries are all at its top.
func (f *fakeNode) Ls(_ context.Context, path string, see func(api.Entry) error) error {
	if _, err := f.archive(path); err != nil {
		return err
	}
	for _, e := range []api.Entry{{Name: "a.txt", Kind: "file", Size: 2, CID: "bafkreia"}, {Name: "deep", Kind: "folder", Size: 1 << 30, CID: "bafybeib"}, {Name: "two\nlines", Size: 3, CID: "bafybeic"}} {
		if err := see(e); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeNode) Collect(_ context.Context, dry bool) (api.Collected, error) {
	if dry {
		return api.Collected{Blocks: 1, Bytes: 512, KeptBlocks: 300, KeptBytes: 3 << 28}, nil
	}
	return api.Collected{Blocks: 12, Bytes: 40 << 20, KeptBlocks: 1, KeptBytes: 100}, nil
}

func (f *fakeNode) Status(ctx context.Context) (api.NodeStatus, error) {
	return api.NodeStatus{ID: f.ID(ctx), API: "127.0.0.1:1234", Uptime: 3*time.Hour + 20*time.Second, Engine: "wazero 1.0", Peers: 2, Running: 1,
		Storage: api.StoreUsage{Used: 1 << 30, Limit: 20 << 30, Free: 55 << 30, Pins: 3, Pinned: 3 << 28}}, nil
}

func (f *fakeNode) ID(context.Context) api.ID {
	return api.ID{Peer: here, Addrs: []string{"/ip4/127.0.0.1/tcp/1235/p2p/" + here}, Private: true, Swarm: "4f2a9c", Version: "1.0.0"}
}

func (f *fakeNode) Peers(context.Context) []api.Peer {
	room := job.Room{CPU: 2000, Memory: 3 << 29}
	free := job.Room{CPU: 500, Memory: 1 << 28}
	return []api.Peer{
		{ID: here, Self: true, Labels: map[string]string{"site": "attic", "os": "linux"}, Free: &free, Total: &room, Addrs: []string{"/ip4/10.0.0.7/tcp/1235"}},
		{ID: there, Labels: map[string]string{"os": "linux"}, Free: &room, Total: &room, RTT: 1500 * time.Microsecond, Seen: 2300 * time.Millisecond},
	}
}

func (f *fakeNode) Doctor(context.Context) api.Report {
	r := api.Report{Checks: []api.Check{
		{Name: "disk", About: "/var/lib/shoal", Status: api.OK, Message: "3.0 GiB free of 9.0 GiB"},
		{Name: "clock", About: "peer k9PzR4tM", Status: api.Warning, Message: "the clock of peer k9PzR4tM is 1h0m0s ahead of that of this node, peer XVgk2y8Q", Next: "set the one that is wrong"},
	}}
	if f.snap("key") {
		r.Checks = append(r.Checks, api.Check{Name: "named", About: "peer gone", Status: api.Problem, Message: "wrong or missing swarm key", Next: "name another"})
	}
	return r
}

func (f *fakeNode) Ready() bool { return true }

func (f *fakeNode) Token(_ context.Context, ttl time.Duration) (api.Token, error) {
	return api.Token{Token: "sh1-" + ttl.String(), Expires: day.Add(ttl), Line: "SHOAL_TOKEN=sh1 node serve --join 10.0.0.7"}, nil
}
