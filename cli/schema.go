package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
)

func (p *program) schema() *cli.Command {
	return &cli.Command{
		Name:        "schema",
		Usage:       "print a JSON Schema",
		Description: p.examples("There is one, of job.yaml.", "node schema job > job.schema.json"),
		Subcommands: []*cli.Command{{
			Name:        "job",
			Usage:       "the schema of job.yaml",
			Description: p.examples("Asks no node. Editors with a YAML language server check a job file while it is written if it begins with: # yaml-language-server: $schema=job.schema.json", "node schema job > job.schema.json"),
			Action: func(c *cli.Context) error {
				if err := need(c, 0, 0); err != nil {
					return err
				}
				text, err := api.JobSchema()
				if err != nil {
					return err
				}
				_, err = p.out.Write(text)
				return err
			},
		}},
	}
}
