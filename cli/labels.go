package cli

import (
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
)

func (p *program) labels() *cli.Command {
	flags := []cli.Flag{formatFlag(), p.homeFlag()}
	list := p.asking(0, 0, func(c *cli.Context, as string, client *api.Client) error {
		labels, err := client.Labels(c.Context)
		if err != nil {
			return err
		}
		return p.showLabels(as, labels)
	})
	return &cli.Command{
		Name:  "labels",
		Usage: "show or change what the local node says of itself",
		Description: p.examples("Jobs choose peers by labels, with where: in their file. All peers hear of a change at once, and jobs that waited for a label are placed. "+
			"Labels that are set are kept across restarts; one that is given with serve --label wins over them. `node peers` shows the labels of all.",
			"node labels", "node labels set site=attic disk=ssd", "node labels rm disk"),
		Flags: flags, Action: list,
		Subcommands: []*cli.Command{
			{
				Name: "ls", Aliases: []string{"list"}, Usage: "list the labels of the local node, and where they come from",
				Description: p.examples("Automatic ones say what the node is and offers; flags are those of serve --label.", "node labels ls", "node labels ls -o json"),
				Flags:       flags, Action: list,
			},
			{
				Name: "set", Usage: "set labels, all of them or none", ArgsUsage: "KEY=VALUE...",
				Description: p.examples("Takes effect at once and lasts, also across restarts, until it is removed.", "node labels set site=attic disk=ssd"),
				Flags:       flags, Action: p.changeLabels(setLabels),
			},
			{
				Name: "rm", Usage: "remove labels that were set, all of them or none", ArgsUsage: "KEY...",
				Description: p.examples("What runs already goes on.", "node labels set disk=ssd", "node labels rm disk"),
				Flags:       flags, Action: p.changeLabels(removeLabels),
			},
		},
	}
}

func setLabels(args []string) (api.LabelChange, error) {
	c := api.LabelChange{Set: map[string]string{}}
	for _, arg := range args {
		if err := addLabel(c.Set, "", arg); err != nil {
			return c, err
		}
	}
	return c, nil
}

func removeLabels(args []string) (api.LabelChange, error) {
	for _, arg := range args {
		if key, _, pair := strings.Cut(arg, "="); pair {
			return api.LabelChange{}, usage("%q names a value too; write the key alone: %s", arg, key)
		}
	}
	return api.LabelChange{Remove: args}, nil
}

// addLabel adds KEY=VALUE to labels of which none may have two values. flag is
// what it was given with, for messages, with a space behind it.
func addLabel(to map[string]string, flag, pair string) error {
	key, value, ok := strings.Cut(pair, "=")
	if !ok || key == "" {
		return usage("%s%q is no label; write KEY=VALUE", flag, pair)
	}
	if before, twice := to[key]; twice && before != value {
		return usage("%s%s has two values, %q and %q; give one", flag, key, before, value)
	}
	to[key] = value
	return nil
}

func (p *program) changeLabels(read func([]string) (api.LabelChange, error)) cli.ActionFunc {
	return p.asking(1, -1, func(c *cli.Context, as string, client *api.Client) error {
		change, err := read(c.Args().Slice())
		if err != nil {
			return err
		}
		labels, err := client.ChangeLabels(c.Context, change)
		if err != nil {
			return err
		}
		return p.showLabels(as, labels)
	})
}

func (p *program) showLabels(as string, labels []api.Label) error {
	return p.show(as, labels, func(w io.Writer, _ bool) {
		row(w, "KEY", "VALUE", "FROM")
		for _, l := range labels {
			row(w, l.Key, l.Value, l.From)
		}
	})
}
