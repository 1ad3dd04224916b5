package cli

import (
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
)

func (p *program) peers() *cli.Command {
	return &cli.Command{
		Name:        "peers",
		Usage:       "list the live peers of the swarm",
		Description: p.examples("With what each has free, as it last said itself. A star marks the local node.", "node peers", "node peers -o wide"),
		Flags:       []cli.Flag{formatFlag(), p.homeFlag()},
		Action: p.asking(0, 0, func(c *cli.Context, as string, client *api.Client) error {
			peers, err := client.Peers(c.Context)
			if err != nil {
				return err
			}
			return p.show(as, peers, func(w io.Writer, wide bool) { peersTable(w, wide, peers) })
		}),
	}
}

func peersTable(w io.Writer, wide bool, peers []api.Peer) {
	cells := []any{"PEER", "FREE CPU", "FREE MEMORY", "RTT", "SEEN", "LABELS"}
	if wide {
		cells = append(cells, "ADDRESSES")
	}
	row(w, cells...)
	for _, e := range peers {
		cells = peerCells(e, wide)
		row(w, cells...)
	}
}

func peerCells(e api.Peer, wide bool) []any {
	id := e.ID.Short()
	if wide {
		id = string(e.ID)
	}
	rtt, seen := "", "here"
	if e.Self {
		id += "*"
	} else {
		seen = span(e.Seen)
		if e.RTT > 0 {
			rtt = span(e.RTT)
		}
	}
	cpu, memory := "", ""
	if e.Free != nil {
		cpu, memory = e.Free.CPU.String(), e.Free.Memory.Rough()
		if e.Total != nil {
			cpu, memory = cpu+" of "+e.Total.CPU.String(), memory+" of "+e.Total.Memory.Rough()
		}
	}
	cells := []any{id, cpu, memory, rtt, seen, pairs(e.Labels)}
	if wide {
		cells = append(cells, strings.Join(e.Addrs, " "))
	}
	return cells
}
