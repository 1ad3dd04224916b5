package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

const nonce = "0123456789abcdef"

// Every call of the client arrives at the backend, and its answer comes back
// as it was given.
func TestClientAndHandlersAgree(t *testing.T) {
	ctx := t.Context()
	f := &fake{ready: true, pins: []Pin{{CID: "bafypin", Name: "book"}}}
	c, _ := localServer(t, f)

	sub := Submission{Spec: aJob("x", job.Done).Spec, Nonce: nonce}
	receipt, err := c.Submit(ctx, sub)
	want(t, receipt, Receipt{ID: job.NewID("abcde", nonce), Copies: 1}, err)

	l, err := c.List(ctx)
	wantNo(t, err)
	if len(l.Jobs) != 1 || l.Jobs[0].State != job.Running || !l.Jobs[0].Submitted.Equal(when) || !slices.Equal(l.Silent, []job.PeerID{"12D3KooWSilent"}) {
		t.Errorf("List: got %+v", l)
	}
	j, err := c.Job(ctx, "k7q2")
	wantNo(t, err)
	if j.Spec.Resources.Memory != 256<<20 || j.Tasks[0].Result.Outputs[0].Size != 1234 || j.History[1].Kind != job.AwardedTo {
		t.Errorf("Job: got %+v", j)
	}
	j, err = c.Cancel(ctx, "k7q2")
	want(t, j.Tasks[0].State, job.Cancelled, err)

	var states []job.State
	err = c.Watch(ctx, "k7q2", func(j job.Job) error { states = append(states, j.Tasks[0].State); return nil })
	wantNo(t, err)
	if !slices.Equal(states, []job.State{job.Waiting, job.Running, job.Done}) {
		t.Errorf("Watch: got %v", states)
	}
	var out bytes.Buffer
	err = c.Logs(ctx, "k7q2", LogOptions{}, func(l LogChunk) error { out.Write(l.Data); return nil })
	want(t, out.String(), "hello\n", err)

	added, err := c.Add(ctx, strings.NewReader(strings.Repeat("x", 3<<20)), "50% of a\nname")
	want(t, added, Added{CID: "bafyadded", Size: 3 << 20}, err)

	out.Reset()
	err = c.Tar(ctx, "bafy/a folder/50% #1?.txt", &out)
	want(t, out.String(), "tar of bafy/a folder/50% #1?.txt", err)
	out.Reset()
	err = c.Cat(ctx, "bafy/", &out)
	want(t, out.String(), "bytes of bafy", err)

	var pins []Pin
	err = c.Pins(ctx, "job k7q2/a b?", func(p Pin) error { pins = append(pins, p); return nil })
	want(t, fmt.Sprint(pins), fmt.Sprint(f.pins), err)
	pin, err := c.Pin(ctx, PinRequest{CID: "bafynew", Name: "book"})
	want(t, pin, Pin{CID: "bafynew", Name: "book"}, err)
	pin, err = c.Unpin(ctx, "job k7q2/a b?")
	want(t, pin, Pin{CID: "bafywas", Name: "job k7q2/a b?"}, err)
	var entries []Entry
	err = c.Ls(ctx, "bafy/a folder/", func(e Entry) error { entries = append(entries, e); return nil })
	want(t, len(entries), 2, err)
	want(t, entries[1], Entry{Name: "sub", Kind: "folder", Size: 1 << 40, CID: "bafysub"}, err)
	got, err := c.Collect(ctx, true)
	want(t, got, Collected{Blocks: 3, Bytes: 3 << 20, KeptBlocks: 1, KeptBytes: 5}, err)
	status, err := c.Status(ctx)
	want(t, status.Storage.Pins, 4, err)
	want(t, status.Peer, "12D3KooWMe", err)

	id, err := c.ID(ctx)
	want(t, id.Peer, "12D3KooWMe", err)
	peers, err := c.Peers(ctx)
	want(t, peers[0].Free.CPU, job.CPU(1500), err)
	token, err := c.Token(ctx, 10*time.Minute)
	want(t, token.Expires, when.Add(10*time.Minute), err)
	_, err = c.Token(ctx, 0)
	wantNo(t, err)
	answer, err := c.Join(ctx, []byte("hi"))
	want(t, string(answer), "answer to hi", err)
	wantNo(t, c.Healthy(ctx))
	wantNo(t, c.Ready(ctx))

	for _, call := range []string{"submit " + nonce, "job k7q2", "cancel k7q2", "watch k7q2", "logs k7q2", "add 50% of a\nname", "pins job k7q2/a b?", "pin bafynew book", "unpin job k7q2/a b?", "ls bafy/a folder", "gc true", "token 10m0s", "token 1h0m0s"} {
		if !slices.Contains(f.got, call) {
			t.Errorf("the backend was not asked %q; it was asked %q", call, f.got)
		}
	}
}

func TestListsAreNeverNull(t *testing.T) {
	_, srv := localServer(t, &fake{list: func(context.Context) (JobList, error) { return JobList{}, nil }})
	for path, want := range map[string]string{"/v1/jobs": `{"jobs":[],"silent":[]}`, "/v1/pins": "[]"} {
		if got := strings.TrimSpace(string(get(t, srv.URL+path).body)); got != want {
			t.Errorf("GET %s: got %s, want %s", path, got, want)
		}
	}
}

func TestNotReady(t *testing.T) {
	c, srv := localServer(t, &fake{})
	if err := c.Ready(t.Context()); CodeOf(err) != CodeUnavailable {
		t.Errorf("got %v", err)
	}
	r := get(t, srv.URL+"/readyz")
	if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") != "1" {
		t.Errorf("got %s, Retry-After %q", r.Status, r.Header.Get("Retry-After"))
	}
	wantNo(t, c.Healthy(t.Context()))
}

// A backend's error arrives with its code and words, through any wrapping.
func TestErrorsKeepTheirCode(t *testing.T) {
	c, _ := localServer(t, &fake{job: func(_ context.Context, id string) (job.Job, error) {
		return job.Job{}, errors.Join(Errorf(CodeAmbiguous, "%s fits k7q2a… and k7q2b…; type more of it", id))
	}})
	_, err := c.Job(t.Context(), "k7q2")
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeAmbiguous || e.Message != "k7q2 fits k7q2a… and k7q2b…; type more of it" {
		t.Errorf("got %#v", err)
	}
	if got := ExitCode(err); got != 2 {
		t.Errorf("exit code %d, want 2", got)
	}
}

// A failed upload is told even though the client is not done sending.
func TestAddRefusedEarly(t *testing.T) {
	c, _ := localServer(t, &fake{add: func(_ context.Context, tar io.Reader) (Added, error) {
		if _, err := io.ReadFull(tar, make([]byte, 10)); err != nil {
			return Added{}, err
		}
		return Added{}, Errorf(CodeInvalid, "this is no tar archive")
	}})
	_, err := c.Add(t.Context(), strings.NewReader(strings.Repeat("x", 100<<10)), "")
	if CodeOf(err) != CodeInvalid || !strings.Contains(err.Error(), "no tar") {
		t.Errorf("got %v", err)
	}
}

// What the sender cannot finish never looks like a whole upload.
func TestAddCutShort(t *testing.T) {
	seen := make(chan error, 1)
	c, _ := localServer(t, &fake{add: func(_ context.Context, tar io.Reader) (Added, error) {
		_, err := io.Copy(io.Discard, tar)
		seen <- err
		return Added{CID: "bafyhalf"}, err
	}})
	broken := errors.New("disk on fire")
	_, err := c.Add(t.Context(), io.MultiReader(strings.NewReader("half"), errReader{broken}), "")
	if !errors.Is(err, broken) {
		t.Errorf("the client says %v", err)
	}
	if err := <-seen; err == nil {
		t.Error("the backend took half an archive for a whole one")
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

type response struct {
	*http.Response
	body []byte
}

func get(t *testing.T, url string) response { return send(t, http.MethodGet, url, "", nil) }

func send(t *testing.T, method, url, contentType string, body io.Reader) response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	wantNo(t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	wantNo(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	wantNo(t, err)
	return response{resp, b}
}

func wantNo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want[T comparable](t *testing.T, got, wanted T, err error) {
	t.Helper()
	wantNo(t, err)
	if got != wanted {
		t.Errorf("got %v, want %v", got, wanted)
	}
}
