package api

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	wantNo(t, err)
	return b
}

// wantProblem checks that r is a problem as RFC 9457 has it.
func wantProblem(t *testing.T, r response, status int, code Code, says string) {
	t.Helper()
	var p problem
	if err := json.Unmarshal(r.body, &p); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
	if r.Header.Get("Content-Type") != problemType || r.StatusCode != status || p.Status != status || p.Title != http.StatusText(status) {
		t.Errorf("got %s, %s: %s", r.Status, r.Header.Get("Content-Type"), r.body)
	}
	if p.Code != code || !strings.Contains(p.Detail, says) {
		t.Errorf("got code %q, want %q; detail %q, want %q in it", p.Code, code, p.Detail, says)
	}
}

func TestEveryErrorIsAProblem(t *testing.T) {
	_, srv := localServer(t, &fake{job: func(context.Context, string) (job.Job, error) {
		return job.Job{}, errors.New("the ledger is on fire")
	}})
	const js = "application/json"
	for _, c := range []struct {
		name, method, path, contentType, body string
		status                                int
		code                                  Code
		says                                  string
	}{
		{"no such path", "GET", "/v2/jobs", "", "", 404, CodeNotFound, "/v1/openapi.json"},
		{"wrong method", "DELETE", "/v1/jobs", "", "", 405, CodeInvalid, "only GET, HEAD, POST"},
		{"backend's error", "GET", "/v1/jobs/k7q2", "", "", 500, CodeInternal, "on fire"},
		{"not in the schema", "POST", "/v1/jobs", js, `{"spec":{"task":{},"taks":1},"nonce":"` + nonce + `"}`, 422, CodeInvalid, "body.spec.taks"},
		{"missing", "POST", "/v1/jobs", js, `{"spec":{"task":{}}}`, 422, CodeInvalid, "nonce"},
		{"bad unit", "POST", "/v1/jobs", js, `{"spec":{"task":{},"resources":{"memory":"1 GiB"}},"nonce":"` + nonce + `"}`, 422, CodeInvalid, "body.spec.resources.memory: expected string to be an amount of bytes"},
		{"not JSON", "POST", "/v1/jobs", js, `{"spec":`, 400, CodeInvalid, "unexpected end"},
		{"no body", "POST", "/v1/jobs", js, ``, 400, CodeInvalid, "body is required"},
		{"not a type we take", "POST", "/v1/jobs", "text/plain", `{}`, 415, CodeInvalid, "content type"},
		{"large body", "POST", "/v1/jobs", js, `"` + strings.Repeat("x", maxJSON) + `"`, 413, CodeTooLarge, "1048576"},
		{"unknown query", "GET", "/v1/jobs/k7q2/logs?folow=true", "", "", 422, CodeInvalid, "query.folow"},
		{"wrong query", "GET", "/v1/jobs/k7q2/logs?stdout=-1", "", "", 422, CodeInvalid, "query.stdout"},
		{"wrong format", "GET", "/v1/ipfs/bafy?format=zip", "", "", 422, CodeInvalid, "query.format"},
		{"wrong ID", "GET", "/v1/jobs/k7q2%20", "", "", 422, CodeInvalid, "letters and digits"},
		{"unpin what is not", "DELETE", "/v1/pins/bafynone", "", "", 404, CodeNotFound, "bafynone"},
		{"token for ever", "POST", "/v1/tokens", js, `{"ttl":"721h"}`, 422, CodeInvalid, "720h at most"},
		{"bad duration", "POST", "/v1/tokens", js, `{"ttl":"soon"}`, 422, CodeInvalid, "span of time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantProblem(t, send(t, c.method, srv.URL+c.path, c.contentType, strings.NewReader(c.body)), c.status, c.code, c.says)
		})
	}
}

// The faults arrive one by one as well.
func TestFaultsArrive(t *testing.T) {
	c, _ := localServer(t, &fake{})
	_, err := c.Submit(t.Context(), Submission{Nonce: "short"})
	var e *Error
	if !errors.As(err, &e) || len(e.Faults) != 1 || e.Faults[0].Where != "body.nonce" {
		t.Errorf("got %#v", err)
	}
	if !strings.HasPrefix(err.Error(), "the request is wrong: body.nonce: ") {
		t.Errorf("got %q", err)
	}
}

// What went wrong inside is nobody else's business.
func TestStrangersDoNotSeeInternalErrors(t *testing.T) {
	core, logged := observer.New(zap.DebugLevel)
	srv := httptest.NewServer(Public(&fake{join: func(context.Context, []byte) ([]byte, error) {
		return nil, errors.New("open /home/ann/.shoal/swarm.key: permission denied")
	}}, nobody, zap.New(core)))
	defer srv.Close()
	r := send(t, "POST", srv.URL+"/v1/join", typeOctets, strings.NewReader("x"))
	wantProblem(t, r, 500, CodeInternal, "its log says why")
	if strings.Contains(string(r.body), "/root") {
		t.Errorf("told: %s", r.body)
	}
	if all := logged.All(); len(all) != 1 || !strings.Contains(all[0].ContextMap()["error"].(string), "swarm.key") {
		t.Errorf("logged: %v", all)
	}
}

// The process may have another user of huma.
func TestNothingOfHumaIsChanged(t *testing.T) {
	local(&fake{}, zap.NewNop())
	if _, ok := huma.NewError(400, "x").(*huma.ErrorModel); !ok {
		t.Error("huma.NewError was replaced")
	}
}

// Over the socket in the home as over TCP: what has no route, or no sense, or no
// end, is answered with a problem.
func TestProblemsOverTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	l, err := ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, Local(&fake{}, zaptest.NewLogger(t)), zaptest.NewLogger(t)) }()
	defer func() {
		stop()
		wantNo(t, <-done)
	}()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	for _, tc := range []struct {
		method, path, contentType, body string
		status                          int
	}{
		{"GET", "/", "", "", 404},
		{"GET", "/v1", "", "", 404},
		{"GET", "/v1/doctor/more", "", "", 404},
		{"POST", "/v1/doctor", "application/json", "{}", 405},
		{"BREW", "/v1/jobs", "", "", 405},
		{"POST", "/v1/jobs", "application/xml", "<job/>", 415},
		{"POST", "/v1/jobs", "application/json", strings.Repeat(" ", maxJSON+1), 413},
		{"GET", "/v1/doctor?all=1", "", "", 422},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, "http://node"+tc.path, strings.NewReader(tc.body))
		wantNo(t, err)
		if tc.contentType != "" {
			req.Header.Set("Content-Type", tc.contentType)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Errorf("%s %s: %v", tc.method, tc.path, err)
			continue
		}
		var p problem
		err = json.NewDecoder(resp.Body).Decode(&p)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tc.status || p.Status != tc.status || p.Detail == "" || p.Code == "" || resp.Header.Get("Content-Type") != problemType {
			t.Errorf("%s %s: %s, %s, %+v, %v; want a problem with %d", tc.method, tc.path, resp.Status, resp.Header.Get("Content-Type"), p, err, tc.status)
		}
	}
}
