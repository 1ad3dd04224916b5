package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

func (p *program) config() *cli.Command {
	return &cli.Command{
		Name:  "config",
		Usage: "say how a node is set up, and by what",
		Description: p.examples("A setting is taken from the flag, else from the environment, else from the config file, else it has its default. "+
			"The file is YAML: each setting by the name of its flag, such as private: true, or label: {site: attic}.",
			"node config show"),
		Subcommands: []*cli.Command{{
			Name:  "show",
			Usage: "print every setting, its value and where that came from",
			Description: p.examples("What node serve would run with, here and now: it takes the same flags. A node that runs already took what it found when it started. "+
				"Secrets are not printed.",
				"node config show",
				"node config show --label site=attic -o yaml"),
			Flags:  append(p.serveFlags(), formatFlag()),
			Action: printing(0, 0, p.showConfig),
		}},
	}
}

func (p *program) showConfig(c *cli.Context, as string) error {
	set, err := p.settle(c)
	if err != nil {
		return err
	}
	if _, err := p.nodeConfig(c); err != nil {
		return set.explain(err)
	}
	if _, err := p.logging(c); err != nil {
		return set.explain(err)
	}
	return p.show(as, set, func(w io.Writer, _ bool) {
		row(w, "SETTING", "VALUE", "ORIGIN")
		for _, s := range set {
			row(w, s.Name, s.text(), s.Origin)
		}
	})
}

// text is the value for a person.
func (s setting) text() string {
	switch v := s.Value.(type) {
	case nil:
		return s.Default
	case []string:
		return strings.Join(v, " ")
	default:
		return fmt.Sprint(v)
	}
}
