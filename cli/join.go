package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

func (p *program) join() *cli.Command {
	return &cli.Command{
		Name:        "join",
		Usage:       "let in machines that have no token",
		Description: p.examples("A machine that is started with `serve --join IP` and no token shows a code. Whoever types that code at any node of the swarm lets it in.", "node join ls"),
		Subcommands: []*cli.Command{{
			Name:      "approve",
			Usage:     "let in the machine that shows a code",
			ArgsUsage: "CODE",
			Description: p.examples("At any node of the swarm, whichever the machine asks. A code lets in one machine once, within ten minutes. Prints the peer ID of the machine.",
				"node join approve ABCD-EFGH-JKMN-PQRS-G"),
			Flags: []cli.Flag{formatFlag(), p.homeFlag()},
			Action: p.asking(1, 1, func(c *cli.Context, as string, client *api.Client) error {
				a, err := client.Approve(c.Context, c.Args().First())
				if err != nil {
					return err
				}
				return p.show(as, a, func(w io.Writer, _ bool) {
					row(w, a.Joiner)
					p.say("that peer was let in; it asked from %s", oneLine(a.Address))
				})
			}),
		}, {
			Name:        "ls",
			Aliases:     []string{"list"},
			Usage:       "list the machines that wait",
			Description: p.examples("At any node of the swarm. Their codes are on their own screens, and nowhere else.", "node join ls"),
			Flags:       []cli.Flag{formatFlag(), p.homeFlag()},
			Action: p.asking(0, 0, func(c *cli.Context, as string, client *api.Client) error {
				l, err := client.Waiting(c.Context)
				if err != nil {
					return err
				}
				p.sayWhoIsSilent(l.Silent, "waiting machines")
				return p.show(as, l.Requests, func(w io.Writer, wide bool) {
					if len(l.Requests) == 0 {
						p.say("no machine waits to be let in")
						return
					}
					waitingTable(w, wide, l.Requests)
				})
			}),
		}},
	}
}

func waitingTable(w io.Writer, wide bool, requests []api.JoinRequest) {
	row(w, "REQUEST", "ADDRESS", "WAITING", "AT")
	for _, q := range requests {
		id, at := q.ID[:min(len(q.ID), 8)], q.At.Short()
		if wide {
			id, at = q.ID, string(q.At)
		}
		row(w, id, q.Address, span(q.Age), at)
	}
}

// showCode shows the code with which this machine can be let in; to a log too,
// where that is what stdout leads to: it is all that the machine can say, and is
// worth nothing once it was used or ten minutes have passed.
func (p *program) showCode(code string, life time.Duration) {
	fmt.Fprintf(p.out, "This machine has no token. To let it in, run this at any node of the swarm within %v:\n", job.Duration(life))
	p.line("node join approve " + code)
	fmt.Fprintf(p.out, "Waiting …\n")
}
