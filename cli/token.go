package cli

import (
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
)

func (p *program) token() *cli.Command {
	return &cli.Command{
		Name:        "token",
		Usage:       "let machines into the private swarm",
		Description: p.examples("A token lets any machine that has it join, however many and however often, until it expires. For one machine alone, see `node join`.", "node token create --ttl 10m"),
		Subcommands: []*cli.Command{{
			Name:        "create",
			Usage:       "make a token",
			Description: p.examples("Prints the token, and on stderr the line with which a machine joins. Keep it as secret as a password.", "node token create --ttl 10m"),
			Flags: []cli.Flag{
				&cli.GenericFlag{Name: "ttl", Value: new(timeFlag), Usage: "`TIME` until it expires, such as 10m; 720h at most", DefaultText: "1h"},
				formatFlag(), p.homeFlag(),
			},
			Action: p.asking(0, 0, p.runTokenCreate),
		}},
	}
}

func (p *program) runTokenCreate(c *cli.Context, as string, client *api.Client) error {
	ttl := time.Duration(*c.Generic("ttl").(*timeFlag))
	if c.IsSet("ttl") && ttl <= 0 {
		return usage("--ttl 0 makes a token that has expired already; give it a time such as 10m, 720h at most")
	}
	t, err := client.Token(c.Context, ttl)
	if err != nil {
		return err
	}
	return p.show(as, t, func(w io.Writer, _ bool) {
		row(w, t.Token)
		p.say("good until %s; a machine joins with:\n  %s", moment(t.Expires), printable(p.renamed(t.Line)))
	})
}
