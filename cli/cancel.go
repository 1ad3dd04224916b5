package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func (p *program) cancel() *cli.Command {
	return &cli.Command{
		Name:        "cancel",
		Usage:       "end jobs",
		ArgsUsage:   "JOB...",
		Description: p.examples("What a job that runs has written so far is lost. A job that has ended stays as it is.", `node cancel "$(node submit examples/wordcount/job.yaml)"`),
		Flags:       []cli.Flag{p.homeFlag()},
		Action: func(c *cli.Context) error {
			if err := need(c, 1, -1); err != nil {
				return err
			}
			client, err := p.client(c)
			if err != nil {
				return err
			}
			for _, id := range c.Args().Slice() {
				j, err := client.Cancel(c.Context, id)
				if err != nil {
					return err
				}
				row(p.out, fmt.Sprintf("%s %v", j.ID, j.State()))
			}
			return nil
		},
	}
}
