package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
)

func (p *program) add() *cli.Command {
	return &cli.Command{
		Name:        "add",
		Usage:       "keep a file or folder in IPFS",
		ArgsUsage:   "PATH",
		Description: p.examples("Prints its CID, under which every peer of the swarm can fetch it. It is pinned: kept until `pin rm`.", "node add README.md", "node add --name handbook README.md"),
		Flags:       []cli.Flag{&cli.StringFlag{Name: "name", Usage: "call the pin `NAME`", DefaultText: "that of the file or folder"}, formatFlag(), p.homeFlag()},
		Action:      p.asking(1, 1, p.runAdd),
	}
}

func (p *program) runAdd(c *cli.Context, as string, client *api.Client) error {
	// A link that was named is what it points to; links below it are not.
	path, err := filepath.EvalSymlinks(c.Args().First())
	if err != nil {
		return usage("add %s: %w", c.Args().First(), cause(err))
	}
	dir, name := filepath.Split(path)
	if name == "." || name == ".." || name == "" {
		dir, name = path, "."
	}
	folder, err := os.OpenRoot(filepath.Clean(dir))
	if err != nil {
		return usage("add %s: %w", path, cause(err))
	}
	defer folder.Close()
	added, err := addFrom(c.Context, client, folder, name, c.String("name"))
	if err != nil {
		return fmt.Errorf("add %s: %w", path, err)
	}
	return p.show(as, added, func(w io.Writer, wide bool) {
		if wide {
			row(w, added.CID, added.Size.Rough())
			return
		}
		row(w, added.CID)
	})
}
