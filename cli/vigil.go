package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// patience is how long a node may be away, for instance to be started anew: the
// local one after it answered once, or the one that holds a job.
const patience = 30 * time.Second

// stood is longer than a node takes to find out that another is away. A call
// that lasted longer had its connection until it broke.
const stood = 10 * time.Second

// vigil is how a command waits for one job. Each goroutine has its own, with a
// copy of the program to speak through.
type vigil struct {
	program
	client *api.Client
	id     string // the job as it was named; empty before there is one
	quiet  bool   // another vigil says who is away

	known *atomic.Bool // the job exists: this command made or saw it

	says func(job.Job) string // what is told of the job on stderr; nil: nothing
	told map[string]bool      // what says has said
	seen bool                 // the call under way has got something
	at   api.LogOptions       // as far as its output was printed
}

func (p *program) vigil(client *api.Client, id string) *vigil {
	return &vigil{program: *p, client: client, id: id, known: new(atomic.Bool), told: map[string]bool{}}
}

// again calls f, and calls it again when a node that it takes is away, until it
// comes to an end of its own, ctx ends, or patience does. Where there is no local
// node and never was one, it returns at once. f must go on where it was when it
// is called again.
func (v *vigil) again(ctx context.Context, f func() error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 2*time.Second
	var since time.Time
	said := ""
	for {
		v.seen = false
		began := time.Now()
		err := f()
		who := v.away(err)
		switch {
		case who == "" || ctx.Err() != nil:
			return err
		case !v.met && nobody(err):
			return err
		}
		v.met = true
		if since.IsZero() || v.seen || time.Since(began) > stood {
			since, said = time.Now(), ""
			pause.Reset()
		}
		if time.Since(since) > v.patience {
			return api.Errorf(api.CodeUnreachable, "%s, and trying again for %v did not help: %w", who, v.patience, err)
		}
		if who != said && !v.quiet {
			v.say("%s; trying again for %v …", who, v.patience)
			said = who
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// away says who is, if err says that somebody is.
func (v *vigil) away(err error) string {
	code := api.CodeOf(err)
	switch {
	case code == api.CodeUnreachable && !api.Answered(err):
		return "the connection to the node broke off"
	case v.id == "" && code == api.CodeUnavailable:
		return "the node cannot take the job just now"
	case v.id == "":
		return ""
	case code == api.CodeUnreachable, code == api.CodeUnavailable, code == api.CodeNotFound && v.known.Load():
		// A job that is there and that nobody knows is one whose node has gone.
		return fmt.Sprintf("the node that holds job %s is away", v.id)
	}
	return ""
}

// nobody reports whether err says that no node can be there.
func nobody(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOTSOCK) || errors.Is(err, syscall.EINVAL)
}

// goesOn says, where a person, the time or a node that stays away ended the
// waiting, that this did not end the job.
func (v *vigil) goesOn(ctx context.Context, err error) error {
	again := v.command("logs", "-f", v.id)
	hint := fmt.Sprintf("job %s goes on; follow it again with: %s", v.id, again)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		v.say("%s", hint)
		return api.Errorf(api.CodeTimeout, "job %s %v", v.id, context.Cause(ctx))
	case ctx.Err() != nil:
		v.say("%s", hint)
		return errInterrupted
	case api.CodeOf(err) == api.CodeUnreachable && v.known.Load():
		v.say("%s", hint)
	case api.CodeOf(err) == api.CodeUnreachable && v.met:
		v.say("if there is a job %s, it goes on; follow it with: %s", v.id, again)
	}
	return err
}

// ended waits until the job has ended.
func (v *vigil) ended(ctx context.Context) (j job.Job, err error) {
	err = v.again(ctx, func() error {
		return v.client.Watch(ctx, v.id, func(now job.Job) error {
			j = now
			v.saw()
			v.tell(now)
			return nil
		})
	})
	if err == nil && !j.Terminal() {
		err = failed("the node stopped telling about job %s, which is %v", v.id, j.State())
	}
	return j, err
}

// saw notes that the job is there.
func (v *vigil) saw() {
	v.seen = true
	v.known.Store(true)
}

// tell says where the job stands, each thing once: a job that nobody takes goes
// back and forth.
func (v *vigil) tell(j job.Job) {
	const most = 100 // then it is enough
	if v.says == nil || j.Terminal() {
		return
	}
	if now := v.says(j); now != "" && !v.told[now] && len(v.told) < most {
		v.say("%s", printable(api.Plain(now)))
		v.told[now] = true
	}
}

// stream prints the job's output from its beginning: stdout to stdout, stderr to
// stderr. After a broken connection it goes on at the byte where it was. Where
// the job has ended and its output is lost, the code is CodeUnavailable.
func (v *vigil) stream(ctx context.Context, follow bool) error {
	v.at = api.LogOptions{Follow: follow}
	var final error // which no other try would change
	err := v.again(ctx, func() error {
		final = nil
		err := v.client.Logs(ctx, v.id, v.at, v.print)
		if api.Answered(err) && (!follow || v.over(ctx, err)) {
			final, err = err, nil
		}
		return err
	})
	if err == nil {
		err = final
	}
	return err
}

// over reports whether a job has ended whose output cannot be had.
func (v *vigil) over(ctx context.Context, err error) bool {
	if api.CodeOf(err) != api.CodeUnavailable {
		return false
	}
	j, lost := v.client.Job(ctx, v.id)
	return lost == nil && j.Terminal()
}

// print prints what was not printed yet of a piece of output.
func (v *vigil) print(c api.LogChunk) error {
	v.saw()
	if c.Attempt != v.at.Attempt {
		if v.at.Attempt != 0 {
			v.say("attempt %d was lost; attempt %d begins anew", v.at.Attempt, c.Attempt)
		}
		v.at.Attempt, v.at.Stdout, v.at.Stderr = c.Attempt, 0, 0
	}
	to, offset := v.out, &v.at.Stdout
	if c.Stream == "stderr" {
		to, offset = v.err, &v.at.Stderr
	}
	end := c.Offset + int64(len(c.Data))
	if end <= *offset {
		return nil // seen before
	}
	_, err := to.Write(c.Data[max(0, *offset-c.Offset):])
	*offset = end
	return err
}
