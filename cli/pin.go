package cli

import (
	"cmp"
	"errors"
	"io"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
)

func (p *program) pin() *cli.Command {
	return &cli.Command{
		Name:        "pin",
		Usage:       "say what the local node keeps",
		Description: p.examples("What is pinned is kept, and found by peers that look for it. The rest is a cache: it makes room when the store is nearly full, and `gc` removes it at once.", "node pin ls", `node pin rm "$(node add README.md)"`),
		Subcommands: []*cli.Command{
			{
				Name:        "ls",
				Aliases:     []string{"list"},
				Usage:       "list what is pinned",
				ArgsUsage:   "[NAME|CID]",
				Description: p.examples("The roots that this node keeps; with a name or a CID, those that have it. -o wide has sizes, since when, and whether a user or a job wants it.", "node pin ls", "node pin ls -o wide", "node pin ls -o json"),
				Flags:       []cli.Flag{formatFlag(), p.homeFlag()},
				Action:      p.asking(0, 1, p.runPins),
			},
			{
				Name:        "add",
				Usage:       "fetch content and keep it",
				ArgsUsage:   "CID...",
				Description: p.examples("Comes back when all of it is here. What is pinned already gets the name, if one is given.", `node pin add "$(node add README.md)"`, `node pin add --name handbook "$(node add README.md)"`),
				Flags:       []cli.Flag{&cli.StringFlag{Name: "name", Usage: "call the pin `NAME`"}, p.homeFlag()},
				Action:      p.runPinAdd,
			},
			{
				Name:        "rm",
				Usage:       "keep content no longer",
				ArgsUsage:   "CID|NAME...",
				Description: p.examples("It stays on the disk until the room is needed, or `gc` removes it. A name will do where no other pin has it.", `node pin rm "$(node add README.md)"`, `node add --name handbook README.md && node pin rm handbook`),
				Flags:       []cli.Flag{p.homeFlag()},
				Action:      p.runPinRm,
			},
		},
	}
}

func (p *program) runPins(c *cli.Context, as string, client *api.Client) error {
	what := c.Args().First()
	if id, ok, err := contentRef(what); err != nil {
		return err
	} else if ok {
		what = id
	}
	pins := []api.Pin{}
	if err := client.Pins(c.Context, what, func(pin api.Pin) error { pins = append(pins, pin); return nil }); err != nil {
		return err
	}
	slices.SortFunc(pins, func(a, b api.Pin) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.CID, b.CID)) })
	if what != "" && len(pins) == 0 {
		return failed("nothing that is pinned has the CID or name %q; all that is pinned: %s", what, p.command("pin", "ls"))
	}
	return p.show(as, pins, func(w io.Writer, wide bool) { p.pinTable(w, wide, pins) })
}

func (p *program) pinTable(w io.Writer, wide bool, pins []api.Pin) {
	if len(pins) == 0 {
		p.say("nothing is pinned")
		return
	}
	if !wide {
		row(w, "CID", "NAME")
		for _, pin := range pins {
			row(w, pin.CID, pin.Name)
		}
		return
	}
	row(w, "CID", "NAME", "SIZE", "SINCE", "BY")
	for _, pin := range pins {
		row(w, pin.CID, pin.Name, pin.Size.Rough(), moment(pin.Since), pin.By)
	}
}

func (p *program) runPinAdd(c *cli.Context) error {
	name := c.String("name")
	if c.IsSet("name") && name == "" {
		return usage("--name is empty; leave it out to keep the name that the pin has")
	}
	if name != "" && c.Args().Len() > 1 {
		return usage("--name %s is for one CID, and %d are given", name, c.Args().Len())
	}
	return p.eachPin(c, func(client *api.Client, arg string) (api.Pin, error) {
		id, err := p.content(arg)
		if err != nil {
			return api.Pin{}, err
		}
		ctx, done := p.watch(c.Context, id)
		defer done()
		return client.Pin(ctx, api.PinRequest{CID: id, Name: name})
	})
}

func (p *program) runPinRm(c *cli.Context) error {
	return p.eachPin(c, func(client *api.Client, arg string) (api.Pin, error) {
		id, ok, err := contentRef(arg)
		if err != nil {
			return api.Pin{}, err
		}
		if !ok {
			id = arg // a name
		}
		return client.Unpin(c.Context, id)
	})
}

// eachPin does something for each argument and prints the CIDs that it was done
// for. One that fails does not keep the rest from being done.
func (p *program) eachPin(c *cli.Context, do func(*api.Client, string) (api.Pin, error)) error {
	if err := need(c, 1, -1); err != nil {
		return err
	}
	client, err := p.client(c)
	if err != nil {
		return err
	}
	var all error
	for _, arg := range c.Args().Slice() {
		pin, err := do(client, arg)
		if err == nil {
			row(p.out, pin.CID)
		}
		all = errors.Join(all, err)
	}
	return all
}
