package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
)

func (p *program) logs() *cli.Command {
	return &cli.Command{
		Name:        "logs",
		Usage:       "print a job's output",
		ArgsUsage:   "JOB",
		Description: p.examples("The job's stdout goes to stdout and its stderr to stderr. With -f, it goes on until the job has ended.", `node logs -f "$(node submit examples/wordcount/job.yaml)"`),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on as output comes", DisableDefaultText: true},
			p.homeFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := need(c, 1, 1); err != nil {
				return err
			}
			client, err := p.client(c)
			if err != nil {
				return err
			}
			v := p.vigil(client, c.Args().First())
			if c.Bool("follow") {
				if err := v.followOutput(c.Context, idling); err != nil {
					return v.goesOn(c.Context, err)
				}
				return nil
			}
			if err := v.stream(c.Context, false); err != nil || v.at.Attempt > 0 {
				return err
			}
			// Nothing was printed: perhaps nothing runs.
			if j, err := client.Job(c.Context, v.id); err == nil && idling(j) != "" {
				p.say("job %s has no output yet: it is %s", j.ID, printable(api.Plain(idling(j))))
			}
			return nil
		},
	}
}
