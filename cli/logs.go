package cli

import (
	"github.com/urfave/cli/v2"
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
			id, follow := c.Args().First(), c.Bool("follow")
			err = p.stream(c.Context, client, id, follow)
			if err != nil && follow {
				return p.goesOn(c.Context, id, err)
			}
			return err
		},
	}
}
