package api

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/zap/zaptest"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

func TestDoctorOverTheSocket(t *testing.T) {
	srv := httptest.NewServer(Local(&fake{}, zaptest.NewLogger(t)))
	defer srv.Close()
	got, err := NewClient(srv.URL).Doctor(t.Context())
	wantNo(t, err)
	if len(got.Checks) != 1 || got.Checks[0].Status != Warning || got.Checks[0].About != "12D3KooWPeer" || got.Worst() != Warning {
		t.Errorf("%+v", got)
	}
}

func TestWorst(t *testing.T) {
	for want, of := range map[Status][]Status{OK: {OK}, Warning: {OK, Warning, OK}, Problem: {Warning, Problem, Warning}} {
		var r Report
		for _, s := range of {
			r.Checks = append(r.Checks, Check{Status: s})
		}
		if got := r.Worst(); got != want {
			t.Errorf("%v: %s, want %s", of, got, want)
		}
	}
}

// What a peer may ask of another that examines itself is tried for the caller
// alone, whoever the request may say it is.
func TestNeighbour(t *testing.T) {
	f := &fake{}
	srv := httptest.NewServer(Mesh(f, f, f, func(r *http.Request) (job.PeerID, bool) { return "12D3KooWPeer", r.Header.Get("X-Stranger") == "" }, zaptest.NewLogger(t)))
	defer srv.Close()
	c := NewClient(srv.URL)
	if now, err := c.Clock(t.Context()); err != nil || !now.Equal(when) {
		t.Errorf("%v, %v", now, err)
	}
	if r, err := c.Reach(t.Context(), ReachRequest{API: 1234}); err != nil || len(r.Peers) != 1 || r.API == nil {
		t.Errorf("%+v, %v", r, err)
	}
	if len(f.got) != 1 || f.got[0] != "reach 12D3KooWPeer 1234" {
		t.Errorf("asked: %q", f.got)
	}
	for _, port := range []int{-1, 65536} {
		if _, err := c.Reach(t.Context(), ReachRequest{API: port}); CodeOf(err) != CodeInvalid {
			t.Errorf("port %d: %v", port, err)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/v1/clock", nil)
	req.Header.Set("X-Stranger", "1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a stranger is answered with %s", resp.Status)
	}
	// Neither is on the socket or on the public port: only peers are neighbours.
	local := httptest.NewServer(Local(f, zaptest.NewLogger(t)))
	defer local.Close()
	if _, err := NewClient(local.URL).Clock(t.Context()); CodeOf(err) != CodeNotFound {
		t.Errorf("the clock over the socket: %v", err)
	}
}
