package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// follow prints the output as it comes and where the job stands, until it has
// ended, and ends as the job did.
func (v *vigil) follow(ctx context.Context) error {
	err := v.followOutput(ctx, standing)
	lost := api.CodeOf(err) == api.CodeUnavailable && ctx.Err() == nil
	if err != nil && !lost {
		return v.goesOn(ctx, err)
	}
	j, gone := v.ended(ctx)
	if gone != nil {
		return v.goesOn(ctx, gone)
	}
	if lost {
		// The output went with the peer that kept it; the job did not.
		v.say("%s", printable(api.Plain(err.Error())))
	}
	return verdict(j)
}

// followOutput prints the output as it comes, and beside it what says says.
func (v *vigil) followOutput(ctx context.Context, says func(job.Job) string) error {
	// Two streams speak on stderr: the job's own, and what becomes of it.
	v.err = &lockedWriter{w: v.err}
	beside := v.vigil(v.client, v.id)
	beside.known, beside.quiet, beside.says = v.known, true, says // known is one for both
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var watch sync.WaitGroup
	// What goes wrong with it is told by the stream of the output.
	watch.Go(func() { _, _ = beside.ended(watching) })
	err := v.stream(ctx, true)
	stop()
	watch.Wait()
	return err
}

// await waits until the job has ended, says where it stands meanwhile, and ends
// as the job did.
func (v *vigil) await(ctx context.Context) error {
	v.says = standing
	j, err := v.ended(ctx)
	if err != nil {
		return v.goesOn(ctx, err)
	}
	return verdict(j)
}

// standing is where a job stands, in a line; nothing for what passes by.
func standing(j job.Job) string {
	for _, t := range j.Tasks {
		switch {
		case t.State == job.Running && t.Attempt > 1:
			return fmt.Sprintf("running on peer %s, attempt %d%s", t.Executor.Short(), t.Attempt, lost(j))
		case t.State == job.Running:
			return fmt.Sprintf("running on peer %s", t.Executor.Short())
		case t.State == job.Awarded:
			return ""
		}
	}
	if j.Reason != "" {
		return j.State().String() + ": " + j.Reason
	}
	return ""
}

// lost is what became of the attempt before the current one.
func lost(j job.Job) string {
	for _, ev := range slices.Backward(j.History) {
		if ev.Kind == job.Lost {
			return fmt.Sprintf("; attempt %d on peer %s was lost: %s", ev.Attempt.Attempt, ev.Peer.Short(), ev.Reason)
		}
	}
	return ""
}

// idling is why a job that nobody runs is not run.
func idling(j job.Job) string {
	if j.State() != job.Waiting {
		return ""
	}
	return standing(j)
}

// verdict is how a command ends that waited for j.
func verdict(j job.Job) error {
	if j.State() == job.Done {
		return nil
	}
	return failed("job %s %s", j.ID, why(j))
}

// why says how a job ended that is not done.
func why(j job.Job) string {
	verb := "failed"
	if j.State() == job.Cancelled {
		verb = "was cancelled"
	}
	for _, t := range j.Tasks {
		switch {
		case t.Result == nil || t.Result.OK():
		case t.Result.Error != "":
			return verb + ": " + t.Result.Error
		default:
			return fmt.Sprintf("%s: its program exited with code %d", verb, t.Result.Exit)
		}
	}
	if j.Reason != "" {
		return verb + ": " + j.Reason
	}
	return verb
}

// lockedWriter is a writer for several goroutines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
