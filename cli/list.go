package cli

import (
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

func (p *program) list() *cli.Command {
	return &cli.Command{
		Name:        "list",
		Usage:       "list the jobs of the swarm",
		Description: p.examples("All jobs that any live peer knows of, whichever they were submitted to.", "node list", "node list -o json"),
		Flags:       []cli.Flag{formatFlag(), p.homeFlag()},
		Action: p.asking(0, 0, func(c *cli.Context, as string, client *api.Client) error {
			l, err := client.List(c.Context)
			if err != nil {
				return err
			}
			p.sayWhoIsSilent(l.Silent, "jobs")
			jobs := l.Jobs
			return p.show(as, jobs, func(w io.Writer, wide bool) {
				if len(jobs) == 0 {
					p.say("no jobs")
					return
				}
				listTable(w, wide, jobs)
			})
		}),
	}
}

// sayWhoIsSilent says whose part of a list is missing.
func (p *program) sayWhoIsSilent(silent []job.PeerID, what string) {
	var names []string
	for _, s := range silent {
		names = append(names, oneLine(s.Short()))
	}
	switch len(names) {
	case 0:
	case 1:
		p.say("1 peer did not answer; its %s are not shown: %s", what, names[0])
	default:
		p.say("%d peers did not answer; their %s are not shown: %s", len(names), what, strings.Join(names, ", "))
	}
}

func listTable(w io.Writer, wide bool, jobs []api.Summary) {
	if wide {
		row(w, "ID", "NAME", "STATE", "AGE", "TOOK", "PEER", "ATTEMPT", "SUBMITTED AT", "REASON")
	} else {
		row(w, "ID", "NAME", "STATE", "AGE", "PEER")
	}
	for _, j := range jobs {
		if !wide {
			row(w, j.ID, j.Name, j.State, age(j.Submitted), j.Executor.Short())
			continue
		}
		row(w, j.ID, j.Name, j.State, age(j.Submitted), took(j.Submitted, j.Ended), j.Executor, j.Attempt, j.Submitter, j.Reason)
	}
}

// took is the time from one moment to another; nothing if either is missing.
func took(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return ""
	}
	return span(to.Sub(from))
}
