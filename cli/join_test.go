package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Approve knows one code, once, and another that is mistyped.
func (f *fakeNode) Approve(_ context.Context, code string) (api.Approved, error) {
	switch {
	case strings.HasPrefix(code, "TYPO"):
		return api.Approved{}, api.Errorf(api.CodeTokenMalformed, "the join code is incomplete or mistyped: compare it")
	case code != "ABCD-EFGH-JKMN-PQRS-G":
		return api.Approved{}, api.Errorf(api.CodeNotFound, "no machine waits with this code")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.nonces[code] != "" {
		return api.Approved{}, api.Errorf(api.CodeConflict, "this code is used up: it has let in peer %s", there)
	}
	f.nonces[code] = "used"
	return api.Approved{Joiner: there, Address: "10.0.0.9:4000", At: here}, nil
}

func (f *fakeNode) Waiting(context.Context) (api.JoinList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var l api.JoinList
	if len(f.nonces) == 0 {
		l.Requests = []api.JoinRequest{{ID: "jcbntdbwhmiot7do", Address: "10.0.0.9:4000", Age: 90 * time.Second, State: api.JoinWaiting, At: here}}
	}
	if f.breaks["silent"] {
		l.Silent = []job.PeerID{gone}
	}
	return l, nil
}

func TestCodeIsShownUnderTheNameOfTheProgram(t *testing.T) {
	var out bytes.Buffer
	p := &program{name: "shoal", out: &out}
	p.showCode("ABCD-EFGH-JKMN-PQRS-G", 10*time.Minute)
	want := "This machine has no token. To let it in, run this at any node of the swarm within 10m:\n" +
		"  shoal join approve ABCD-EFGH-JKMN-PQRS-G\n  (or node …)\nWaiting …\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
