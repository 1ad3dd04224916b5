package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// follow prints a job's output as it comes and where it stands, until it has
// ended, and ends as the job did.
func (p *program) follow(ctx context.Context, client *api.Client, id string) error {
	// Two streams speak on stderr: the job's own, and what becomes of it.
	q := *p
	q.err = &lockedWriter{w: p.err}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var watch sync.WaitGroup
	watch.Go(func() { q.watch(watching, client, id) })
	err := q.stream(ctx, client, id, true)
	stop()
	watch.Wait()
	p.met = p.met || q.met
	unavailable := api.CodeOf(err) == api.CodeUnavailable && ctx.Err() == nil
	if err != nil && !unavailable {
		return p.goesOn(ctx, id, err)
	}
	j, lost := p.ended(ctx, client, id)
	if lost != nil {
		return p.goesOn(ctx, id, lost)
	}
	if unavailable {
		// The output is lost with the peer that kept it; the job is not.
		p.say("%s", printable(err.Error()))
	}
	return verdict(j)
}

// goesOn says, where a person or a broken connection ended the waiting, that
// this did not end the job.
func (p *program) goesOn(ctx context.Context, id string, err error) error {
	hint := fmt.Sprintf("job %s goes on; follow it again with: %s", id, p.command("logs", "-f", id))
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		p.say("%s", hint)
		return api.Errorf(api.CodeTimeout, "job %s %v", id, context.Cause(ctx))
	case ctx.Err() != nil:
		p.say("%s", hint)
		return errInterrupted
	case api.CodeOf(err) == api.CodeUnreachable:
		p.say("%s", hint)
	}
	return err
}

// watch says where a job stands, each thing once: a job that nobody takes goes
// back and forth. It is a courtesy: what goes wrong with it is told by whoever
// waits for the job.
func (p *program) watch(ctx context.Context, client *api.Client, id string) {
	const most = 100 // then it is enough
	said := make(map[string]bool)
	_ = client.Watch(ctx, id, func(j job.Job) error {
		if now := standing(j); now != "" && !said[now] && len(said) < most && !j.Terminal() {
			p.say("%s", printable(now))
			said[now] = true
		}
		return nil
	})
}

// standing is where a job stands, in a line; nothing for what passes by.
func standing(j job.Job) string {
	for _, t := range j.Tasks {
		switch {
		case t.State == job.Running && t.Attempt > 1:
			return fmt.Sprintf("running on peer %s, attempt %d", t.Executor.Short(), t.Attempt)
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

// stream prints a job's output from its beginning: stdout to stdout, stderr to
// stderr. After a broken connection it goes on at the byte where it was.
func (p *program) stream(ctx context.Context, client *api.Client, id string, follow bool) error {
	at := api.LogOptions{Follow: follow}
	see := func(c api.LogChunk) error {
		if c.Attempt != at.Attempt {
			if at.Attempt != 0 {
				p.say("attempt %d was lost; attempt %d begins anew", at.Attempt, c.Attempt)
			}
			at.Attempt, at.Stdout, at.Stderr = c.Attempt, 0, 0
		}
		to, offset := p.out, &at.Stdout
		if c.Stream == "stderr" {
			to, offset = p.err, &at.Stderr
		}
		end := c.Offset + int64(len(c.Data))
		if end <= *offset {
			return nil // seen before
		}
		_, err := to.Write(c.Data[max(0, *offset-c.Offset):])
		*offset = end
		return err
	}
	return p.again(ctx, func() error { return client.Logs(ctx, id, at, see) })
}

// await waits until a job has ended, and ends as the job did.
func (p *program) await(ctx context.Context, client *api.Client, id string) error {
	j, err := p.ended(ctx, client, id)
	if err != nil {
		return p.goesOn(ctx, id, err)
	}
	return verdict(j)
}

// ended waits until a job has ended.
func (p *program) ended(ctx context.Context, client *api.Client, id string) (j job.Job, err error) {
	err = p.again(ctx, func() error {
		return client.Watch(ctx, id, func(now job.Job) error {
			j = now
			return nil
		})
	})
	if err == nil && !j.Terminal() {
		err = failed("the node stopped telling about job %s, which is %v", id, j.State())
	}
	return j, err
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
