package cli

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/shoal-mesh/shoal/node"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

func (p *program) serve() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run a node on this machine",
		Description: p.examples("Without flags it is a swarm of one on loopback, good for work on this machine. What it keeps is in its home. It stops on Ctrl-C.",
			"node serve",
			"node serve --private --initial --label site=attic --mount logs=/var/log"),
		Flags:  p.serveFlags(),
		Action: p.runServe,
	}
}

// serveFlags are the settings of a node, which its config file has by the same
// names.
func (p *program) serveFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.BoolFlag{Name: "private", EnvVars: []string{"SHOAL_PRIVATE"}, Usage: "be in a swarm that needs a key", DisableDefaultText: true},
		&cli.BoolFlag{Name: "initial", EnvVars: []string{"SHOAL_INITIAL"}, Usage: "found a private swarm: make its key, unless the home has one", DisableDefaultText: true},
		&cli.StringFlag{Name: "join", EnvVars: []string{"SHOAL_JOIN"}, Usage: "join the private swarm of the node at `IP[:PORT]`, with a token or by the code that is shown then"},
		&cli.StringFlag{Name: "token", EnvVars: []string{"SHOAL_TOKEN"}, Usage: "the `TOKEN` that lets this machine in; better set SHOAL_TOKEN, which ps does not show"},
		&cli.StringSliceFlag{Name: "peer", EnvVars: []string{"SHOAL_PEER"}, Usage: "a peer to know at first, as `MULTIADDR` (…/p2p/ID or …/http); may be given again"},
		&cli.BoolFlag{Name: "mdns", EnvVars: []string{"SHOAL_MDNS"}, Usage: "find members on the local network by multicast DNS, and be found there", DisableDefaultText: true},
		&cli.StringSliceFlag{Name: "label", EnvVars: []string{"SHOAL_LABEL"}, Usage: "a label `KEY=VALUE` of this node; may be given again"},
		&cli.BoolFlag{Name: "label-hostname", EnvVars: []string{"SHOAL_LABEL_HOSTNAME"}, Usage: "tell all peers this machine's name, in the label hostname", DisableDefaultText: true},
		&cli.StringSliceFlag{Name: "mount", EnvVars: []string{"SHOAL_MOUNT"}, Usage: "let jobs read a folder of this machine in place, as mount://NAME; `NAME=PATH`, may be given again"},
		&cli.StringSliceFlag{Name: "accept-from", EnvVars: []string{"SHOAL_ACCEPT_FROM"}, Usage: "run jobs that were submitted to the node with this `PEER` ID, and of none that is not named; may be given again", DefaultText: "everybody's in a private swarm, nobody's but its own in an open one"},
		&cli.StringSliceFlag{Name: "listen", EnvVars: []string{"SHOAL_LISTEN"}, Usage: "listen for peers at `MULTIADDR`; may be given again", DefaultText: "TCP 1235 everywhere, or on loopback when alone"},
		&cli.StringFlag{Name: "api", EnvVars: []string{"SHOAL_API"}, Usage: "listen for joining machines at `HOST:PORT`", DefaultText: "1234 everywhere, or on loopback when alone"},
		&cli.GenericFlag{Name: "max-cpu", EnvVars: []string{"SHOAL_MAX_CPU"}, Value: new(cpuFlag), Usage: "`CPU` that jobs may use together, such as 2 or 500m", DefaultText: "all"},
		&cli.GenericFlag{Name: "max-memory", EnvVars: []string{"SHOAL_MAX_MEMORY"}, Value: new(bytesFlag), Usage: "`MEMORY` that jobs may use together, such as 2GiB", DefaultText: "half of the machine's"},
		&cli.GenericFlag{Name: "max-storage", EnvVars: []string{"SHOAL_MAX_STORAGE"}, Value: new(bytesFlag), Usage: "`BYTES` that the store may take, such as 20GiB; what nobody pinned makes room", DefaultText: "four fifths of what its disk has free"},
		&cli.StringFlag{Name: "config", EnvVars: []string{"SHOAL_CONFIG"}, Usage: "read settings from the YAML `FILE`, by the names of these flags", DefaultText: "config.yaml in the home, if it is there"},
		p.homeFlag(),
	}, logFlags()...)
}

func (p *program) runServe(c *cli.Context) error {
	if err := need(c, 0, 0); err != nil {
		return err
	}
	set, err := p.settle(c)
	if err != nil {
		return err
	}
	cfg, err := p.nodeConfig(c)
	if err != nil {
		return set.explain(err)
	}
	how, err := p.logging(c)
	if err != nil {
		return set.explain(err)
	}
	log, err := p.logger(how)
	if err != nil {
		return err
	}
	cfg.ShowCode = p.showCode
	defer log.Sync()
	n, err := node.New(cfg, log)
	if err != nil {
		return set.explain(usage("%w", err))
	}
	defer context.AfterFunc(c.Context, func() { log.Info("stopping") })()
	return n.Run(c.Context, func(o node.Offer) { p.banner(o, cfg.Initial || terminal(p.out)) })
}

// nodeConfig is the node that the flags describe.
func (p *program) nodeConfig(c *cli.Context) (node.Config, error) {
	home, err := p.homeOf(c)
	if err != nil {
		return node.Config{}, err
	}
	cfg := node.Config{
		Home: home, Version: version(),
		Private: c.Bool("private"), Initial: c.Bool("initial"), Join: c.String("join"), Token: c.String("token"),
		Mounts: make(map[string]string), AcceptFrom: c.StringSlice("accept-from"),
		Peers: c.StringSlice("peer"), MDNS: c.Bool("mdns"), Labels: make(map[string]string), LabelHostname: c.Bool("label-hostname"), Listen: c.StringSlice("listen"), API: c.String("api"),
		MaxCPU: job.CPU(*c.Generic("max-cpu").(*cpuFlag)), MaxMemory: job.Bytes(*c.Generic("max-memory").(*bytesFlag)), MaxStorage: job.Bytes(*c.Generic("max-storage").(*bytesFlag)),
	}
	for _, l := range c.StringSlice("label") {
		if err := addLabel(cfg.Labels, "--label ", l); err != nil {
			return cfg, err
		}
	}
	for _, m := range c.StringSlice("mount") {
		name, path, ok := strings.Cut(m, "=")
		if !ok || name == "" || path == "" {
			return cfg, usage("--mount %q is no mount; write NAME=PATH", m)
		}
		if before, twice := cfg.Mounts[name]; twice {
			return cfg, usage("--mount %s is given twice, for %q and %q; give each folder its own name", name, before, path)
		}
		cfg.Mounts[name] = path
	}
	return cfg, nil
}

// terminal reports whether a person reads what w is given.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// cpuFlag and bytesFlag are flags that read amounts as job.yaml has them.
type (
	cpuFlag   job.CPU
	bytesFlag job.Bytes
	timeFlag  job.Duration
)

func (f *cpuFlag) Set(s string) error   { return (*job.CPU)(f).UnmarshalText([]byte(s)) }
func (f *bytesFlag) Set(s string) error { return (*job.Bytes)(f).UnmarshalText([]byte(s)) }
func (f *timeFlag) Set(s string) error  { return (*job.Duration)(f).UnmarshalText([]byte(s)) }

func (f *cpuFlag) String() string   { return job.CPU(*f).String() }
func (f *bytesFlag) String() string { return job.Bytes(*f).String() }
func (f *timeFlag) String() string  { return job.Duration(*f).String() }
