package cli

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	return defaultHome()
}

func defaultHome() (string, error) {
	if os.Geteuid() == 0 {
		return rootHome, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usage("where the node's files are is not known (%v); say it with --home or SHOAL_HOME", err)
	}
	return filepath.Join(home, ".shoal"), nil
}

// onThisMachine are the commands that work on the files of a home and not
// through the node that may run with it. All others that take --home take --node.
var onThisMachine = []string{"serve", "config show", "key authorize", "key ls"}

func (p *program) nodeFlag() cli.Flag {
	return &cli.StringFlag{Name: "node", EnvVars: []string{"SHOAL_NODE"}, Usage: "ask the node at `URL` in place of the local one: HOST[:PORT], http(s)://… or a socket; see key --help"}
}

// addNodeFlag gives --node to the commands that can ask any node.
func (p *program) addNodeFlag(commands []*cli.Command, path ...string) {
	for _, c := range commands {
		path := append(path, c.Name)
		p.addNodeFlag(c.Subcommands, path...)
		takesHome := slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return f.Names()[0] == "home" })
		if takesHome && !slices.Contains(onThisMachine, strings.Join(path, " ")) {
			c.Flags = append(c.Flags, p.nodeFlag())
		}
	}
}

// client asks the node that --node names, or else the local one.
func (p *program) client(c *cli.Context) (*api.Client, error) {
	home, at := slices.Contains(p.given, "home"), slices.Contains(p.given, "node")
	switch where := c.String("node"); {
	case home && at:
		return nil, usage("--home and --node name two nodes; give one")
	case where != "" && !home: // what was typed comes before SHOAL_NODE
		if at {
			p.node = where
		}
		return p.clientAt(where)
	}
	dir, err := p.homeOf(c)
	if err != nil {
		return nil, err
	}
	p.asks = true
	return api.NewClient(node.SocketPath(dir)), nil
}

// clientAt asks the node at an address as --node takes it. Over TCP its requests
// are signed.
func (p *program) clientAt(where string) (*api.Client, error) {
	addr, socket, err := nodeAddress(where)
	if err != nil {
		return nil, err
	}
	if socket {
		return api.NewClient(addr), nil
	}
	key, _, err := clientKey()
	if err != nil {
		return nil, err
	}
	return api.NewClient(addr).Signed(key), nil
}

// nodeAddress is the URL of a node, or the path of its socket.
func nodeAddress(where string) (addr string, socket bool, err error) {
	scheme, rest, hasScheme := strings.Cut(where, "://")
	switch {
	case scheme == "unix" && hasScheme:
		return rest, true, nil
	case hasScheme && scheme != "http" && scheme != "https":
		return "", false, usage("--node %q: a node is not asked by %s://; write HOST:PORT, http://HOST:PORT, https://HOST or the path of its socket", where, scheme)
	case hasScheme:
		return where, false, nil
	case strings.HasPrefix(where, "/ip4/"), strings.HasPrefix(where, "/ip6/"), strings.HasPrefix(where, "/dns"):
		return "", false, usage("--node %q is a multiaddr, and a node is asked by HTTP: write HOST:PORT", where)
	case strings.Contains(where, "/"):
		return where, true, nil
	}
	peer, host, hasPeer := strings.Cut(where, "@")
	if hasPeer {
		peer += "@"
	} else {
		peer, host = "", where
	}
	port := strconv.Itoa(node.DefaultAPIPort)
	if bare := strings.Trim(host, "[]"); net.ParseIP(bare) != nil {
		host = bare // 2001:db8::1 is no host with a port
	} else if strings.Contains(host, ":") {
		if host, port, err = net.SplitHostPort(host); err != nil {
			return "", false, usage("--node %q is no HOST:PORT: %w", where, err)
		}
	}
	return "http://" + peer + net.JoinHostPort(host, port), false, nil
}

// command is a command line that a person can copy: it asks the same node.
func (p *program) command(words ...string) string {
	line := p.name + " " + strings.Join(words, " ")
	if p.home != "" {
		line += " --home " + shellQuote(p.home)
	}
	if p.node != "" {
		line += " --node " + shellQuote(p.node)
	}
	return line
}

// asking is the action of a command that asks the node, and prints its answer in the
// format of -o; see printing.
func (p *program) asking(least, most int, f func(c *cli.Context, as string, client *api.Client) error) cli.ActionFunc {
	return printing(least, most, func(c *cli.Context, as string) error {
		client, err := p.client(c)
		if err != nil {
			return err
		}
		return f(c, as, client)
	})
}
