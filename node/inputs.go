package node

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/scheduler/job"
	"github.com/shoal-mesh/shoal/storage"
)

// inputsEvery is how often the log says how far the fetch of a job's input is:
// nobody looks at it as at a bar, but who wonders why a job does not begin finds
// it there.
const inputsEvery = 5 * time.Second

// inputs is the store as jobs use it: what takes long to fetch is in the log,
// with rate and time left.
type inputs struct {
	*storage.Store
	log *zap.Logger
}

// Fetch implements executor.Store.
func (i inputs) Fetch(ctx context.Context, ref, dst string) error {
	return i.Store.Fetch(storage.WithProgress(ctx, tellProgress(i.log, ref, time.Now)), ref, dst)
}

// tellProgress logs how far a fetch is, every inputsEvery from now on.
func tellProgress(log *zap.Logger, ref string, now func() time.Time) func(storage.Progress) {
	began, last := now(), now()
	var first int64 = -1 // what was here already does not count for the rate
	return func(p storage.Progress) {
		if first < 0 {
			first = p.Done
		}
		at := now()
		if at.Sub(last) < inputsEvery {
			return
		}
		last = at
		fields := []zap.Field{zap.String("ref", ref), zap.Stringer("done", job.Bytes(p.Done)), zap.Stringer("total", job.Bytes(p.Total))}
		if rate := float64(p.Done-first) / at.Sub(began).Seconds(); rate >= 1 {
			left := time.Duration(float64(p.Total-p.Done) / rate * float64(time.Second))
			fields = append(fields, zap.Stringer("per_second", job.Bytes(rate)), zap.Duration("left", left.Round(time.Second)))
		}
		log.Info("fetching an input of a job", fields...)
	}
}
