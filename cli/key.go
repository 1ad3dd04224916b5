package cli

import (
	"crypto/ed25519"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node"
	"github.com/shoal-mesh/shoal/node/api/sign"
)

func (p *program) key() *cli.Command {
	return &cli.Command{
		Name:  "key",
		Usage: "let a person or script ask a node from elsewhere",
		Description: p.examples("Commands with --node sign what they ask with the key in ~/.config/shoal/client.key (or SHOAL_CLIENT_KEY), which is made at first use. "+
			"A node answers those whose key is in the file authorized_keys of its home: a line each, as ssh has it, read anew for each request. "+
			"Who is listed may do at that node all that its owner may, but what lets machines into the swarm is only told where nobody else can read it. "+
			"Signing hides nothing: over http:// the network can read what is asked and answered, and can forge answers. Where it is not to be trusted, "+
			"put a proxy that speaks https in front of the node and passes paths on as they are, or use an SSH tunnel. --node 12D3…@HOST asks that node and no other that may answer there.",
			"node key show",
			"node key ls"),
		Subcommands: []*cli.Command{p.keyShow(), p.keyAuthorize(), p.keyList()},
	}
}

func (p *program) keyShow() *cli.Command {
	return &cli.Command{
		Name:        "show",
		Usage:       "print your key, as nodes list it",
		Description: p.examples("Prints the line for the file authorized_keys of a node, or for `key authorize` there. The key is made if there is none.", "node key show"),
		Flags:       []cli.Flag{formatFlag()},
		Action: printing(0, 0, func(c *cli.Context, as string) error {
			key, file, err := clientKey()
			if err != nil {
				return err
			}
			own := ownKey{node.Authorized{Key: sign.KeyOf(key), Name: whoAmI()}, file}
			return p.show(as, own, func(w io.Writer, wide bool) {
				if wide {
					row(w, own.Key, own.Name, own.File)
					return
				}
				row(w, strings.TrimSpace(own.Key.String()+" "+own.Name))
			})
		}),
	}
}

// ownKey is the key of whoever runs this command.
type ownKey struct {
	node.Authorized
	File string `json:"file"`
}

func (p *program) keyAuthorize() *cli.Command {
	return &cli.Command{
		Name:      "authorize",
		Usage:     "let the owner of a key ask the node of this machine",
		ArgsUsage: "KEY [NAME]",
		Description: p.examples("Adds what `key show` printed at the client to the file authorized_keys in the node's home. To lock a client out again, take its line out. "+
			"Both count from the next request on, without a restart; what goes on goes on.",
			"node key authorize $(node key show)"),
		Flags: []cli.Flag{p.homeFlag()},
		Action: func(c *cli.Context) error {
			if err := need(c, 1, -1); err != nil {
				return err
			}
			words := strings.Fields(strings.Join(c.Args().Slice(), " ")) // the line may be quoted
			if len(words) == 0 {
				return usage("%s needs %s; see %s --help", c.Command.HelpName, c.Command.ArgsUsage, c.Command.HelpName)
			}
			key, err := sign.ParseKey(words[0])
			if err != nil {
				return usage("%q: %w; `%s key show` prints it at the client", words[0], err, p.name)
			}
			home, err := p.homeOf(c)
			if err != nil {
				return err
			}
			already, err := node.Authorize(home, node.Authorized{Key: key, Name: strings.Join(words[1:], " ")})
			if err != nil {
				return failed("%w", err)
			}
			verb := "added to"
			if already {
				verb = "is already in"
			}
			p.say("key %s %s %s", key.Short(), verb, node.AuthorizedPath(home))
			return nil
		},
	}
}

func (p *program) keyList() *cli.Command {
	return &cli.Command{
		Name:        "ls",
		Aliases:     []string{"list"},
		Usage:       "list the keys whose owners may ask the node of this machine",
		Description: p.examples("What the node makes of the file authorized_keys in its home, and on stderr what it leaves out.", "node key ls"),
		Flags:       []cli.Flag{formatFlag(), p.homeFlag()},
		Action: printing(0, 0, func(c *cli.Context, as string) error {
			home, err := p.homeOf(c)
			if err != nil {
				return err
			}
			keys, faults, err := node.ListAuthorized(home)
			if err != nil {
				return failed("%w", err)
			}
			for _, f := range faults {
				p.say("left out: %s", oneLine(f.Error()))
			}
			if keys == nil {
				keys = []node.Authorized{}
			}
			return p.show(as, keys, func(w io.Writer, _ bool) {
				if len(keys) == 0 {
					p.say("no key is listed")
					return
				}
				row(w, "KEY", "NAME")
				for _, k := range keys {
					row(w, k.Key, k.Name)
				}
			})
		}),
	}
}

// clientKey is the key with which commands sign what they ask, made at first
// use, and the file that holds it.
func clientKey() (key ed25519.PrivateKey, file string, err error) {
	if file, err = clientKeyFile(); err == nil {
		key, err = sign.LoadKey(file)
	}
	return key, file, err
}

func clientKeyFile() (string, error) {
	if file := os.Getenv("SHOAL_CLIENT_KEY"); file != "" {
		return file, nil
	}
	// A path that is not absolute is to be ignored, says the XDG specification.
	if dir := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "shoal", "client.key"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usage("where your key is is not known (%v); say it with SHOAL_CLIENT_KEY", err)
	}
	return filepath.Join(home, ".config", "shoal", "client.key"), nil
}

// whoAmI names the key for the people who read a list of them.
func whoAmI() string {
	name := ""
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		return name
	}
	return name + "@" + host
}
