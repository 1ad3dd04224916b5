package cli

import (
	"github.com/urfave/cli/v2"
)

func (p *program) cat() *cli.Command {
	return &cli.Command{
		Name:        "cat",
		Usage:       "print a file by its CID",
		ArgsUsage:   "CID[/PATH]",
		Description: p.examples("Fetches it from the swarm if this node does not have it.", `node cat "$(node add README.md)"`),
		Flags:       []cli.Flag{p.homeFlag()},
		Action: func(c *cli.Context) error {
			if err := need(c, 1, 1); err != nil {
				return err
			}
			ref, err := p.content(c.Args().First())
			if err != nil {
				return err
			}
			client, err := p.client(c)
			if err != nil {
				return err
			}
			ctx, done := c.Context, func() {}
			if !terminal(p.out) { // else a bar would be in the way of what is read
				ctx, done = p.watch(ctx, ref)
			}
			defer done()
			return client.Cat(ctx, ref, p.out)
		},
	}
}
