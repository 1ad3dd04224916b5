package cli

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
)

func (p *program) status() *cli.Command {
	return &cli.Command{
		Name:        "status",
		Aliases:     []string{"id"},
		Usage:       "say who the local node is and how it does",
		Description: p.examples("Its peer ID, its swarm and the addresses at which it listens; its peers and jobs; how full its store is.", "node status", "node status -o json"),
		Flags:       []cli.Flag{formatFlag(), p.homeFlag()},
		Action: p.asking(0, 0, func(c *cli.Context, as string, client *api.Client) error {
			s, err := client.Status(c.Context)
			if err != nil {
				return err
			}
			return p.show(as, s, func(w io.Writer, _ bool) { statusTable(w, s) })
		}),
	}
}

func statusTable(w io.Writer, s api.NodeStatus) {
	row(w, "Peer", s.Peer)
	if s.Private {
		row(w, "Swarm", "private, "+s.Swarm)
	} else {
		row(w, "Swarm", "open")
	}
	row(w, "Version", s.Version)
	for i, a := range s.Addrs {
		name := " "
		if i == 0 {
			name = "Listens"
		}
		row(w, name, a)
	}
	row(w, "API", s.API)
	row(w, "Up for", span(s.Uptime))
	row(w, "Peers", s.Peers)
	row(w, "Runs", fmt.Sprintf("%s, on %s", many(s.Running, "job"), s.Engine))
	u := s.Storage
	percent := 0
	if u.Limit > 0 {
		percent = int(float64(u.Used) / float64(u.Limit) * 100)
	}
	row(w, "Storage", fmt.Sprintf("%s of %s (%d %%); %s free on its disk", u.Used.Rough(), u.Limit.Rough(), percent, u.Free.Rough()))
	row(w, "Pinned", fmt.Sprintf("%s, %s", many(u.Pins, "root"), u.Pinned.Rough()))
}
