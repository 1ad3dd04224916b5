package cli

import (
	"io"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
)

func (p *program) pin() *cli.Command {
	return &cli.Command{
		Name:        "pin",
		Usage:       "say what the local node keeps",
		Description: p.examples("What is pinned is kept, and found by peers that look for it.", "node pin ls", `node pin rm "$(node add README.md)"`),
		Subcommands: []*cli.Command{
			{
				Name:        "ls",
				Usage:       "list what is pinned",
				Description: p.examples("The roots that this node keeps.", "node pin ls", "node pin ls -o json"),
				Flags:       []cli.Flag{formatFlag(), p.homeFlag()},
				Action:      p.asking(0, p.runPins),
			},
			{
				Name:        "add",
				Usage:       "fetch content and keep it",
				ArgsUsage:   "CID...",
				Description: p.examples("Comes back when all of it is here.", `node pin add "$(node add README.md)"`),
				Flags:       []cli.Flag{p.homeFlag()},
				Action:      func(c *cli.Context) error { return p.eachPin(c, true) },
			},
			{
				Name:        "rm",
				Usage:       "keep content no longer",
				ArgsUsage:   "CID...",
				Description: p.examples("Nothing removes it from the disk yet.", `node pin rm "$(node add README.md)"`),
				Flags:       []cli.Flag{p.homeFlag()},
				Action:      func(c *cli.Context) error { return p.eachPin(c, false) },
			},
		},
	}
}

func (p *program) runPins(c *cli.Context, as string, client *api.Client) error {
	pins, err := client.Pins(c.Context)
	if err != nil {
		return err
	}
	return p.show(as, pins, func(w io.Writer, _ bool) {
		if len(pins) == 0 {
			p.say("nothing is pinned")
			return
		}
		row(w, "CID", "NAME")
		for _, pin := range pins {
			row(w, pin.CID, pin.Name)
		}
	})
}

// eachPin pins or unpins each argument and prints its CID.
func (p *program) eachPin(c *cli.Context, keep bool) error {
	if err := need(c, 1, -1); err != nil {
		return err
	}
	client, err := p.client(c)
	if err != nil {
		return err
	}
	for _, arg := range c.Args().Slice() {
		id, ok, err := contentRef(arg)
		if err != nil {
			return err
		}
		if !ok {
			return usage("%q is no CID; %s prints that of a file or folder", arg, p.command("add", "PATH"))
		}
		if keep {
			ctx, done := p.watch(c.Context, id)
			_, err = client.Pin(ctx, id)
			done()
		} else {
			err = client.Unpin(c.Context, id)
		}
		if err != nil {
			return err
		}
		row(p.out, id)
	}
	return nil
}
