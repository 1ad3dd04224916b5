package cli

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node"
	"github.com/shoal-mesh/shoal/node/api"
)

const rootHome = "/var/lib/shoal"

func (p *program) homeFlag() cli.Flag {
	return &cli.StringFlag{Name: "home", EnvVars: []string{"SHOAL_HOME"}, Usage: "the node's `DIR`", DefaultText: "~/.shoal, or " + rootHome + " for root"}
}

// homeOf is the home that a command is about.
func (p *program) homeOf(c *cli.Context) (string, error) {
	// Hints repeat --home only where it was typed: SHOAL_HOME stays set.
	if home := c.String("home"); home != "" {
		if home != os.Getenv("SHOAL_HOME") {
			p.home = home
		}
		return home, nil
	}
	if os.Geteuid() == 0 {
		return rootHome, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usage("where the node's files are is not known (%v); say it with --home or SHOAL_HOME", err)
	}
	return filepath.Join(home, ".shoal"), nil
}

// client asks the local node.
func (p *program) client(c *cli.Context) (*api.Client, error) {
	home, err := p.homeOf(c)
	if err != nil {
		return nil, err
	}
	p.asks = true
	return api.NewClient(node.SocketPath(home)), nil
}

// command is a command line that a person can copy: it asks the same node.
func (p *program) command(words ...string) string {
	line := p.name + " " + strings.Join(words, " ")
	if p.home != "" {
		line += " --home " + shellQuote(p.home)
	}
	return line
}

// asking is the action of a command that takes n arguments, asks the node, and
// prints its answer in the format of -o. What was typed is checked first.
func (p *program) asking(n int, f func(c *cli.Context, as string, client *api.Client) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := need(c, n, n); err != nil {
			return err
		}
		as, err := format(c)
		if err != nil {
			return err
		}
		client, err := p.client(c)
		if err != nil {
			return err
		}
		return f(c, as, client)
	}
}
