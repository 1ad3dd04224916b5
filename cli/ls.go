package cli

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
)

func (p *program) ls() *cli.Command {
	return &cli.Command{
		Name:        "ls",
		Usage:       "list a folder in IPFS",
		ArgsUsage:   "CID[/PATH]",
		Description: p.examples("Name, kind, size and CID of what is in it. Only blocks of the folder itself are fetched: the kind of an entry is left open where that does not tell. Jobs are listed by `list`.", `node ls "$(node add examples/wordcount)"`),
		Flags:       []cli.Flag{formatFlag(), p.homeFlag()},
		Action:      p.runLs,
	}
}

func (p *program) runLs(c *cli.Context) error {
	if c.Args().Len() == 0 {
		return usage("%s needs CID[/PATH]; the jobs are listed by %s", c.Command.HelpName, p.command("list"))
	}
	return p.asking(1, 1, func(c *cli.Context, as string, client *api.Client) error {
		ref, err := p.content(c.Args().First())
		if err != nil {
			return usage("%w; the jobs are listed by %s", err, p.command("list"))
		}
		entries := []api.Entry{}
		if err := client.Ls(c.Context, ref, func(e api.Entry) error { entries = append(entries, e); return nil }); err != nil {
			return err
		}
		return p.show(as, entries, func(w io.Writer, _ bool) {
			if len(entries) == 0 {
				p.say("the folder is empty")
				return
			}
			row(w, "NAME", "KIND", "SIZE", "CID")
			for _, e := range entries {
				row(w, lsName(e.Name), e.Kind, e.Size.Rough(), e.CID)
			}
		})
	})(c)
}

// lsName keeps a name to its cell.
func lsName(name string) string {
	for _, r := range name {
		if r < ' ' {
			return fmt.Sprintf("%q", name)
		}
	}
	return name
}
