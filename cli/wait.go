package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

func (p *program) wait() *cli.Command {
	return &cli.Command{
		Name:        "wait",
		Usage:       "wait until jobs have ended",
		ArgsUsage:   "JOB...",
		Description: p.examples("Prints a line for each job when it has ended, and on stderr where it stands until then. Exits with 1 if one of them failed, and with 4 if the time is over first.", `node wait "$(node submit examples/wordcount/job.yaml)"`),
		Flags:       []cli.Flag{timeoutFlag(), p.homeFlag()},
		Action:      p.runWait,
	}
}

func (p *program) runWait(c *cli.Context) error {
	if err := need(c, 1, -1); err != nil {
		return err
	}
	client, err := p.client(c)
	if err != nil {
		return err
	}
	ctx, cancel := patient(c)
	defer cancel()
	var bad []error
	for _, id := range c.Args().Slice() {
		v := p.vigil(client, id)
		v.says = standing
		if c.Args().Len() > 1 {
			v.says = func(j job.Job) string { return about(j, standing(j)) }
		}
		j, err := v.ended(ctx)
		if err != nil {
			return v.goesOn(ctx, err)
		}
		p.met = true
		row(p.out, fmt.Sprintf("%s %v", j.ID, j.State()))
		if err := verdict(j); err != nil {
			bad = append(bad, err)
		}
	}
	switch len(bad) {
	case 0:
		return nil
	case 1:
		return bad[0]
	}
	for _, err := range bad {
		p.say("%s", printable(api.Plain(err.Error())))
	}
	return failed("%d of %d jobs did not end well", len(bad), c.Args().Len())
}

// about is a line about one job of several.
func about(j job.Job, line string) string {
	if line == "" {
		return ""
	}
	return fmt.Sprintf("job %s is %s", j.ID, line)
}

// timeoutFlag bounds how long a command waits for a job.
func timeoutFlag() cli.Flag {
	return &cli.GenericFlag{Name: "timeout", Value: new(timeFlag), Usage: "wait for at most `TIME`, such as 90s or 10m; the job goes on", DefaultText: "as long as it takes"}
}

// patient is the context of a command that waits for as long as --timeout says.
func patient(c *cli.Context) (context.Context, context.CancelFunc) {
	limit := time.Duration(*c.Generic("timeout").(*timeFlag))
	if limit == 0 {
		return context.WithCancel(c.Context)
	}
	return context.WithTimeoutCause(c.Context, limit, fmt.Errorf("has not ended after %v", job.Duration(limit)))
}
