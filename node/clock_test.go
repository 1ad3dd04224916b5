package node

import (
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

func inAnHour() time.Time { return time.Now().Add(time.Hour) }

// A peer whose clock is an hour off is a peer as any other; only the expiry of
// tokens is held against wall clocks.
func TestClockAnHourOff(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true, Labels: map[string]string{"site": "attic"}})
	short, err := a.Token(t.Context(), 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	long, err := a.Token(t.Context(), 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryStart(t, Config{Join: a.offer.API, Token: short.Token, Clock: inAnHour}); api.CodeOf(err) != api.CodeTokenExpired {
		t.Errorf("a token of ten minutes, an hour later by the joiner's clock: %v", err)
	}
	b := start(t, Config{Join: a.offer.API, Token: long.Token, Clock: inAnHour, Labels: map[string]string{"site": "barn"}})
	a.waitPeers(2)
	b.waitPeers(2)
	for _, r := range []*running{a, b} {
		s := r.job("print", "x")
		s.Spec.Where = map[*running]string{a: "site=barn", b: "site=attic"}[r]
		if j := r.wait(r.submit(s)); j.State() != job.Done {
			t.Errorf("a job from %s to the other: %s, %q", r.cfg.Labels["site"], j.State(), j.Reason)
		}
	}
}
