package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node"
	"github.com/shoal-mesh/shoal/node/api"
)

func (p *program) doctor() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "look for what is wrong with a node, its machine and its peers",
		Description: p.examples("It asks the running node, which has a few peers try to reach it, compares their clocks with its own and tries their addresses. "+
			"Where none runs, it looks at the home, the ports and the machine. Each finding is ok, a warning or a problem, with what to do; with a problem the exit code is 1.",
			"node doctor", "node doctor -o json"),
		Flags:  []cli.Flag{formatFlag(), p.homeFlag()},
		Action: p.asking(0, 0, p.runDoctor),
	}
}

func (p *program) runDoctor(c *cli.Context, as string, client *api.Client) error {
	report, err := client.Doctor(c.Context)
	if p.asks && (nobody(err) || errors.Is(err, syscall.ENOTDIR)) && !errors.Is(err, fs.ErrPermission) {
		report, err = p.examine(c)
	}
	if err != nil {
		return err
	}
	if err := p.show(as, report, func(w io.Writer, _ bool) { doctorTable(w, report) }); err != nil {
		return err
	}
	if report.Worst() == api.Problem {
		return failed("%s", summary(report))
	}
	p.say("%s", summary(report))
	return nil
}

// examine looks at what can be looked at without a node: as the one would be set
// up that `serve` would start here.
func (p *program) examine(c *cli.Context) (api.Report, error) {
	serve := p.serve()
	set := flag.NewFlagSet(serve.Name, flag.ContinueOnError)
	for _, f := range serve.Flags {
		if err := f.Apply(set); err != nil {
			return api.Report{}, usage("%w", err)
		}
	}
	like := cli.NewContext(c.App, set, nil)
	like.Command, like.Context = serve, context.WithoutCancel(c.Context)
	if home := c.String("home"); home != "" {
		if err := like.Set("home", home); err != nil {
			return api.Report{}, usage("--home %s: %w", home, err)
		}
	}
	settings, err := p.settle(like)
	if err != nil {
		return api.Report{}, err
	}
	cfg, err := p.nodeConfig(like)
	if err != nil {
		return api.Report{}, settings.explain(err)
	}
	if _, err := node.New(cfg, nil); err != nil {
		return api.Report{}, settings.explain(usage("%w", err))
	}
	report := node.Examine(cfg)
	report.Checks[0].Next = "start one with: " + p.command("serve")
	return report, nil
}

func doctorTable(w io.Writer, r api.Report) {
	row(w, "STATUS", "CHECK", "FOUND")
	for _, c := range r.Checks {
		found := c.Message
		if c.About != "" {
			found = c.About + ": " + found
		}
		row(w, c.Status, c.Name, found)
		if c.Next != "" {
			fmt.Fprintf(w, "\t\t→ %s\n", oneLine(c.Next))
		}
	}
}

// summary counts what is not well.
func summary(r api.Report) string {
	n := map[api.Status]int{}
	for _, c := range r.Checks {
		n[c.Status]++
	}
	var parts []string
	for _, s := range []api.Status{api.Problem, api.Warning} {
		if n[s] > 0 {
			parts = append(parts, many(n[s], string(s)))
		}
	}
	if len(parts) == 0 {
		return "all is well"
	}
	return strings.Join(parts, ", ") + " found"
}
