package node

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
)

// plea is the request of a machine that has no token and waits for somebody to
// let it in with the code that it shows. The same one is put to every member that
// was named.
type plea struct {
	msg    []byte
	finish func(reply []byte) (p2p.Admission, error)
	until  time.Time
	life   time.Duration
}

// newPlea makes a code and shows it.
func newPlea(self peer.ID, life time.Duration, show func(code string, life time.Duration)) (*plea, error) {
	code, err := p2p.NewCode()
	if err != nil {
		return nil, err
	}
	p := &plea{life: life, until: time.Now().Add(life)}
	if p.msg, p.finish, err = code.Ask(self); err != nil {
		return nil, err
	}
	show(code.Text(), life)
	return p, nil
}

// errNobody ends the wait for somebody to type the code.
var errNobody = errors.New("nobody let this machine in")

// pleaPause is between two questions, for a member that answers at once.
const pleaPause = 500 * time.Millisecond

// wait waits at one member until somebody lets this machine in there. An error of
// errNobody says that the code has expired.
func (p *plea) wait(ctx context.Context, at string) (p2p.Admission, error) {
	limited, cancel := context.WithDeadline(ctx, p.until)
	defer cancel()
	for {
		reply, err := api.WaitToJoin(limited, at, p.msg)
		switch {
		case ctx.Err() != nil:
			return p2p.Admission{}, ctx.Err()
		case limited.Err() != nil:
			return p2p.Admission{}, backoff.Permanent(api.Errorf(api.CodeTimeout,
				"%w within %s, and its code is no longer good: start it again for a new code, or join with a token (`node token create` at a member)", errNobody, p.life))
		case err != nil:
			return p2p.Admission{}, err
		case len(reply) > 0:
			a, err := p.finish(reply)
			return a, apiError(err)
		}
		pause := time.NewTimer(pleaPause)
		select {
		case <-limited.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}
