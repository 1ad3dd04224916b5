package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap/zaptest"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

func TestApprove(t *testing.T) {
	f := &fake{}
	c, srv := localServer(t, f)
	l, err := c.Waiting(t.Context())
	if err != nil || len(l.Requests) != 1 || l.Requests[0].ID != aRequest.ID || l.Silent == nil {
		t.Errorf("waiting: %+v, %v", l, err)
	}
	a, err := c.Approve(t.Context(), "ABCD-EFGH")
	if err != nil || a != (Approved{"12D3KooWJoiner", "10.0.0.9:4000", "12D3KooWMe"}) {
		t.Errorf("approve: %+v, %v", a, err)
	}
	if want := []string{"waiting", "approve ABCD-EFGH"}; !slices.Equal(f.got, want) {
		t.Errorf("the backend was asked %q, want %q", f.got, want)
	}
	for _, body := range []string{`{}`, `{"code":""}`, `{"code":"` + strings.Repeat("A", 65) + `"}`, `[]`, `{"code":"A","x":1}`} {
		wantProblem(t, send(t, "POST", srv.URL+"/v1/joins", "application/json", strings.NewReader(body)), 422, CodeInvalid, "")
	}
}

func TestPeersAskForJoins(t *testing.T) {
	f := &fake{}
	srv := httptest.NewServer(Mesh(f, f, f, func(*http.Request) (job.PeerID, bool) { return "12D3KooWPeer", true }, zaptest.NewLogger(t)))
	defer srv.Close()
	c := NewClient(srv.URL)
	l, err := c.Requests(t.Context())
	if err != nil || len(l) != 1 || string(l[0].Message) != "hi" {
		t.Errorf("requests: %+v, %v", l, err)
	}
	q, err := c.Answer(t.Context(), "k7q2", JoinAnswer{Joiner: "12D3KooWJoiner", Message: []byte("welcome")})
	if err != nil || q.ID != "k7q2" {
		t.Errorf("answer: %+v, %v", q, err)
	}
	if _, err := c.Answer(t.Context(), "../joins", JoinAnswer{Joiner: "x", Message: []byte("x")}); CodeOf(err) != CodeNotFound {
		t.Errorf("an answer to nobody: %v", err)
	}
	if want := []string{"requests", "answer k7q2 12D3KooWJoiner welcome", "answer ../joins x x"}; !slices.Equal(f.got, want) {
		t.Errorf("the backend was asked %q, want %q", f.got, want)
	}
	wantProblem(t, send(t, "POST", srv.URL+"/v1/joins/k7q2", "application/json", strings.NewReader(`{"joiner":"x","message":""}`)), 422, CodeInvalid, "message")
	// To let somebody in takes the node's owner.
	wantProblem(t, send(t, "POST", srv.URL+"/v1/joins", "application/json", strings.NewReader(`{"code":"x"}`)), 405, CodeInvalid, "only GET")
}

func TestWaitToJoin(t *testing.T) {
	f := &fake{}
	srv := httptest.NewServer(Public(f, nobody, zaptest.NewLogger(t)))
	defer srv.Close()
	var from string
	answers := [][]byte{nil, []byte("welcome")}
	f.joinFrom = func(_ context.Context, remote string, _ []byte) ([]byte, error) {
		from = remote
		answer := answers[0]
		answers = answers[1:]
		return answer, nil
	}
	for _, want := range []string{"", "welcome"} {
		if got, err := WaitToJoin(t.Context(), srv.URL, []byte("hi")); err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if !strings.HasPrefix(from, "127.0.0.1:") {
		t.Errorf("the backend was told that it came from %q", from)
	}
}
