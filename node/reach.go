package node

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
)

const (
	lastAgain = 5 * time.Second // between two tries at a member that does not answer
	sayAgain  = time.Minute     // between two lines in the log about it
)

// away reports whether the error says that nobody answered, or not now: it may
// pass.
func away(err error) bool {
	switch api.CodeOf(err) {
	case api.CodeUnreachable, api.CodeTimeout, api.CodeUnavailable, api.CodeRateLimited:
		return true
	}
	return false
}

// patiently tries until it works, an error comes that will not pass, or ctx ends.
// It logs the first failure, and then one a minute.
func patiently[T any](ctx context.Context, log *zap.Logger, at string, try func() (T, error)) (T, error) {
	wait := backoff.NewExponentialBackOff()
	wait.MaxInterval = lastAgain
	begun, said := time.Now(), time.Time{}
	return backoff.Retry(ctx, func() (T, error) {
		v, err := try()
		var lasting *backoff.PermanentError
		if err != nil && !away(err) && !errors.As(err, &lasting) {
			err = backoff.Permanent(err)
		}
		return v, err
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, _ time.Duration) {
		if time.Since(said) < sayAgain {
			return
		}
		said = time.Now()
		log.Warn("a member that was named does not answer yet, trying on", zap.String("at", at), zap.Duration("for", time.Since(begun).Round(time.Second)), zap.Error(err))
	}))
}

// reach goes on asking the members that have not answered when this node started,
// until each has, or ctx ends. With one of them this node knows the swarm; with
// others too it heals one that was cut.
func (m *membership) reach(ctx context.Context, e entry, mesh *p2p.Mesh) error {
	var g errgroup.Group
	for _, c := range m.later {
		g.Go(func() error {
			_, err := patiently(ctx, e.log, c.URL, func() (found, error) {
				f, err := e.ask(ctx, c, m.key)
				if err != nil {
					return f, err
				}
				if err := mesh.Connect(ctx, f.peers[0]); err != nil {
					return f, api.Errorf(api.CodeUnavailable, "%w", err)
				}
				return f, nil
			})
			if err != nil && ctx.Err() == nil {
				e.log.Error("a member that was named cannot be used", zap.String("at", c.URL), zap.Error(err))
			}
			return nil
		})
	}
	return g.Wait()
}
