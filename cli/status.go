package cli

import (
	"io"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
)

func (p *program) status() *cli.Command {
	return &cli.Command{
		Name:        "status",
		Aliases:     []string{"id"},
		Usage:       "say who the local node is",
		Description: p.examples("Its peer ID, its swarm and the addresses at which it listens.", "node status", "node status -o json"),
		Flags:       []cli.Flag{formatFlag(), p.homeFlag()},
		Action: p.asking(0, func(c *cli.Context, as string, client *api.Client) error {
			id, err := client.ID(c.Context)
			if err != nil {
				return err
			}
			return p.show(as, id, func(w io.Writer, _ bool) { statusTable(w, id) })
		}),
	}
}

func statusTable(w io.Writer, id api.ID) {
	row(w, "Peer", id.Peer)
	if id.Private {
		row(w, "Swarm", "private, "+id.Swarm)
	} else {
		row(w, "Swarm", "open")
	}
	row(w, "Version", id.Version)
	for i, a := range id.Addrs {
		name := " "
		if i == 0 {
			name = "Listens"
		}
		row(w, name, a)
	}
}
