package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap/zaptest"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

func TestPublicIsSmall(t *testing.T) {
	f := &fake{ready: true}
	srv := httptest.NewServer(Public(f, nobody, zaptest.NewLogger(t)))
	defer srv.Close()
	for _, path := range []string{"/v1/id", "/healthz", "/readyz"} {
		if r := get(t, srv.URL+path); r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("GET %s: %s", path, r.Status)
		}
	}
	open := []string{"GET /healthz", "GET /readyz", "GET /v1/id", "GET /v1/nonce", "POST /v1/join"}
	closed := 0
	for path, item := range Public(f, nobody, zaptest.NewLogger(t)).(*signed).clients.api.OpenAPI().Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			if op == nil || slices.Contains(open, method+" "+path) {
				continue
			}
			r := send(t, method, srv.URL+strings.NewReplacer("{", "", "}", "", "...", "").Replace(path), "", nil)
			if closed++; closed < joinsPerAddrAtOnce { // then it is told to wait
				wantProblem(t, r, 401, CodeUnauthorized, "signed with a key that this node lists")
			}
			if r.StatusCode != 401 && r.StatusCode != 429 {
				t.Errorf("%s %s: %s", method, path, r.Status)
			}
		}
	}
	if closed < 12 {
		t.Errorf("only %d routes need a signature", closed)
	}
	if r := get(t, srv.URL+"/v1/openapi.json"); r.StatusCode != 401 && r.StatusCode != 429 {
		t.Errorf("the description of the API: %s", r.Status)
	}
	for _, path := range []string{"/", "/v1", "/v2/jobs", "/favicon.ico"} {
		wantProblem(t, get(t, srv.URL+path), 404, CodeNotFound, "answers GET /v1/id")
	}
	wantProblem(t, get(t, srv.URL+"/v1/join"), 405, CodeInvalid, "only POST")
	if len(f.got) != 0 {
		t.Errorf("the backend was asked %q", f.got)
	}
}

func TestJoinIsBounded(t *testing.T) {
	srv := httptest.NewServer(Public(&fake{}, nobody, zaptest.NewLogger(t)))
	defer srv.Close()
	most := strings.Repeat("x", maxJoin)
	r := send(t, "POST", srv.URL+"/v1/join", typeOctets, strings.NewReader(most))
	if r.StatusCode != 200 || string(r.body) != "answer to "+most || r.Header.Get("Content-Type") != typeOctets {
		t.Errorf("got %s with %d bytes of %s", r.Status, len(r.body), r.Header.Get("Content-Type"))
	}
	wantProblem(t, send(t, "POST", srv.URL+"/v1/join", typeOctets, strings.NewReader(most+"x")), 413, CodeTooLarge, "4096")
}

func TestJoinIsThrottled(t *testing.T) {
	srv := httptest.NewServer(Public(&fake{}, nobody, zaptest.NewLogger(t)))
	defer srv.Close()
	for range joinsPerAddrAtOnce + joinsAtOnce + 200 {
		r := send(t, "POST", srv.URL+"/v1/join", typeOctets, strings.NewReader("x"))
		if r.StatusCode == http.StatusTooManyRequests {
			wantProblem(t, r, 429, CodeRateLimited, "try again in 1s")
			if r.Header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
			}
			return
		}
	}
	t.Error("nothing was refused")
}

func TestThrottle(t *testing.T) {
	now := time.Unix(1e9, 0)
	th := newThrottle()
	for i := range joinsPerAddrAtOnce {
		if d := th.wait("10.0.0.1:1000", now); d != 0 {
			t.Fatalf("request %d waits %s", i, d)
		}
	}
	if d := th.wait("10.0.0.1:9999", now); d == 0 {
		t.Error("another port is another caller")
	}
	if d := th.wait("10.0.0.2:1000", now); d != 0 {
		t.Errorf("another address waits %s", d)
	}
	if d := th.wait("10.0.0.1:1000", now.Add(time.Second)); d != 0 {
		t.Errorf("it still waits %s after a second", d)
	}
	refused := 0
	for i := range 10 * joinsAtOnce {
		if th.wait(fmt.Sprintf("10.1.%d.%d:1", i/250, i%250), now) != 0 {
			refused++
		}
	}
	if refused < 8*joinsAtOnce {
		t.Errorf("a flood from many addresses: %d of %d refused", refused, 10*joinsAtOnce)
	}
}

func TestWhereCallersAre(t *testing.T) {
	for remote, want := range map[string][2]string{
		"10.0.0.1:80":             {"10.0.0.1", "10.0.0.1"},
		"[::ffff:10.0.0.1]:80":    {"10.0.0.1", "10.0.0.1"},
		"[2001:db8:1:2:3::4]:80":  {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"[2001:db8:1:2:9::9]:443": {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"[fe80::1%eth0]:443":      {"fe80::/64", "fe80::/48"},
		"12D3KooW":                {"12D3KooW", "12D3KooW"},
	} {
		if got := [2]string{hostOf(remote), Site(remote)}; got != want {
			t.Errorf("%s: got %s, want %s", remote, got, want)
		}
	}
}

func TestMeshAnswersForJobsAndJoinsAlone(t *testing.T) {
	var seen job.PeerID
	f := &fake{}
	caller := func(r *http.Request) (job.PeerID, bool) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		return "12D3KooWPeer", err == nil && host == "127.0.0.1" && r.Header.Get("X-Stranger") == ""
	}
	next := Mesh(f, f, f, caller, zaptest.NewLogger(t))
	srv := httptest.NewServer(next)
	defer srv.Close()
	c := NewClient(srv.URL)

	_, err := c.List(t.Context())
	wantNo(t, err)
	_, err = c.Cancel(t.Context(), "k7q2")
	wantNo(t, err)
	wantNo(t, c.Logs(t.Context(), "k7q2", LogOptions{}, func(LogChunk) error { return nil }))
	wantNo(t, c.Watch(t.Context(), "k7q2", func(job.Job) error { return nil }))
	f.job = func(ctx context.Context, _ string) (job.Job, error) {
		seen, _ = Caller(ctx)
		return aJob("k7q2", job.Done), nil
	}
	_, err = c.Job(t.Context(), "k7q2")
	want(t, seen, "12D3KooWPeer", err)

	if _, err := c.Submit(t.Context(), Submission{Nonce: nonce}); CodeOf(err) != CodeInvalid {
		t.Errorf("submit: %v", err)
	}
	for _, path := range []string{"/v1/id", "/v1/pins", "/v1/ipfs/bafy", "/v1/tokens", "/v1/join", "/v1/openapi.json"} {
		wantProblem(t, get(t, srv.URL+path), 404, CodeNotFound, "jobs")
	}
	wantProblem(t, send(t, "POST", srv.URL+"/v1/joins/abc", "application/json", io.LimitReader(zeros{}, maxPeer+1)), 413, CodeTooLarge, "65536 bytes")
	req, err := http.NewRequest("GET", srv.URL+"/v1/jobs", nil)
	wantNo(t, err)
	req.Header.Set("X-Stranger", "yes")
	resp, err := http.DefaultClient.Do(req)
	wantNo(t, err)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a stranger got %s", resp.Status)
	}
}
