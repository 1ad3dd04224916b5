package cli

import (
	"io"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
)

func (p *program) gc() *cli.Command {
	return &cli.Command{
		Name:        "gc",
		Usage:       "remove what is not pinned from the local node",
		Description: p.examples("What jobs and `get` fetched stays as a cache until the store is nearly full (see --max-storage of serve). This removes it now. What is pinned, and what is being fetched or added in this moment, stays.", "node gc", "node gc --dry-run"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "only say what would be removed", DisableDefaultText: true},
			formatFlag(), p.homeFlag(),
		},
		Action: p.asking(0, 0, func(c *cli.Context, as string, client *api.Client) error {
			dry := c.Bool("dry-run")
			got, err := client.Collect(c.Context, dry)
			if err != nil {
				return err
			}
			return p.show(as, got, func(w io.Writer, _ bool) {
				did := "freed"
				if dry {
					did = "would free"
				}
				row(w, did+" "+got.Bytes.Rough()+" in "+many(got.Blocks, "block")+"; "+got.KeptBytes.Rough()+" in "+many(got.KeptBlocks, "block")+" stay")
			})
		}),
	}
}
