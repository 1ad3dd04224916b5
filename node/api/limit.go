package api

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/time/rate"

	"github.com/shoal-mesh/shoal/node/api/sign"
)

// Limits on requests.
const (
	maxJSON  = 1 << 20         // bytes of a JSON body
	maxPeer  = 64 << 10        // bytes of one from a peer, who may have thousands under way and in an open swarm is anybody
	maxJoin  = 4 << 10         // bytes of a handshake message: ten times what one has
	bodyTime = 5 * time.Second // for a whole body that is not a stream
)

// bodyDeadline gives the rest of a request's body d from now to arrive, or, if d
// is 0, all the time in the world. Every request with a body has a deadline
// from its start, because net/http reads what a handler leaves of a body before
// it answers, and would wait for it for ever.
func bodyDeadline(w http.ResponseWriter, d time.Duration) {
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	// A recorder in a test has no deadlines; a connection always has.
	_ = http.NewResponseController(w).SetReadDeadline(at)
}

// readWhole reads the body before the handler runs, of at most limit bytes and
// within r.body, so that a slow caller holds no handler, and lifts the deadline,
// which would later end one.
func (r *routes) readWhole(limit int64) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		req, w := humago.Unwrap(ctx)
		body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, limit))

		var large *http.MaxBytesError
		var slow net.Error
		switch {
		case errors.Is(err, sign.ErrBody):
			writeProblem(w, newProblem(Errorf(CodeUnauthorized, "%w", err)))
		case err == nil:
			bodyDeadline(w, 0)
			req.Body = io.NopCloser(bytes.NewReader(body))
			next(ctx)
		case errors.As(err, &large):
			writeProblem(w, newProblem(Errorf(CodeTooLarge, "the request's body is larger than the %d bytes that %s takes", limit, req.URL.Path)))
		case errors.As(err, &slow) && slow.Timeout():
			writeProblem(w, newProblem(Errorf(CodeTimeout, "the request's body did not arrive within %s", r.body)).as(http.StatusRequestTimeout))
		default:
			writeProblem(w, newProblem(Errorf(CodeInvalid, "the request's body broke off: %w", err)))
		}
	}
}

// Rates of handshakes. A swarm that is set up by script has its machines join
// within seconds, often from one address behind a NAT; guessing a token needs
// astronomically more.
const (
	joinsPerSecond     = 20
	joinsAtOnce        = 100
	joinsPerAddrSecond = 2
	joinsPerAddrAtOnce = 20
	addrSlots          = 1024
)

// throttle lets a bounded rate of requests through, over all and for each
// remote address. Addresses share a fixed number of slots by a secret hash:
// memory is bounded with nothing to evict, and whoever floods one slot cannot
// choose whom it is shared with.
type throttle struct {
	all  *rate.Limiter
	seed maphash.Seed

	mu    sync.Mutex
	slots [addrSlots]*rate.Limiter
}

func newThrottle() *throttle {
	return &throttle{all: rate.NewLimiter(joinsPerSecond, joinsAtOnce), seed: maphash.MakeSeed()}
}

// newThrottleEach has a limit for each address and none over all.
func newThrottleEach() *throttle {
	return &throttle{all: rate.NewLimiter(rate.Inf, 0), seed: maphash.MakeSeed()}
}

// wait is how long the caller at remote must wait; 0 lets it through. A caller
// that is over its own rate takes nothing from everybody's.
func (t *throttle) wait(remote string, now time.Time) time.Duration {
	for _, l := range []*rate.Limiter{t.slot(remote), t.all} {
		r := l.ReserveN(now, 1)
		if d := r.DelayFrom(now); d > 0 {
			r.CancelAt(now)
			return d
		}
	}
	return 0
}

func (t *throttle) slot(remote string) *rate.Limiter {
	i := maphash.String(t.seed, hostOf(remote)) % addrSlots
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots[i] == nil {
		t.slots[i] = rate.NewLimiter(joinsPerAddrSecond, joinsPerAddrAtOnce)
	}
	return t.slots[i]
}

func (t *throttle) middleware(ctx huma.Context, next func(huma.Context)) {
	req, w := humago.Unwrap(ctx)
	if d := t.wait(req.RemoteAddr, time.Now()); d > 0 {
		e := Errorf(CodeRateLimited, "too many requests to join; try again in %s", max(time.Second, d.Round(time.Second)))
		e.RetryAfter = d
		writeProblem(w, newProblem(e))
		return
	}
	next(ctx)
}
