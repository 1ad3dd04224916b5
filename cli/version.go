package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node"
)

func (p *program) version() *cli.Command {
	return &cli.Command{
		Name:        "version",
		Usage:       "say which version this is",
		Description: p.examples("And which WebAssembly engine it carries. Asks no node.", "node version", "node version -o json"),
		Flags:       []cli.Flag{formatFlag()},
		Action: printing(0, 0, func(c *cli.Context, as string) error {
			b := build{Version: version(), Engine: node.BuildEngine(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
			return p.show(as, b, func(w io.Writer, _ bool) {
				row(w, fmt.Sprintf("Shoal %s, %s, %s, %s", b.Version, b.Engine, b.Go, b.Platform))
			})
		}),
	}
}

// build is what this program was built from.
type build struct {
	Version  string `json:"version"`
	Engine   string `json:"engine"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// version is what the Go toolchain wrote into the program: the module's
// version, or the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	commit, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			commit = "-" + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+changes"
		}
	}
	return "devel" + commit + changed
}
