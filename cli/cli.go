// Package cli is the command line: one file for each command, all printing in
// print.go, and no knowledge of how a node works. `serve` runs a node in this
// process; every other command asks the local one over the socket in its home, or
// with --node another over TCP.
//
// Results go to stdout, everything said about them to stderr. The exit codes
// are 0 done, 1 the job failed (or something else did, or there is no such job),
// 2 wrong use, a bad spec or a bad token, 3 the node cannot be reached, 4 timed
// out waiting, and 130 interrupted.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node"
)

// Main runs the command line of this process and returns its exit code. The
// first SIGINT or SIGTERM ends the command in good order, a second one at once.
// Where the process was started as the child that runs a guest, it does that
// instead and does not return: nothing may come before it in main.
func Main(args []string) int {
	node.MaybeChild()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	p := &program{name: programName(args), in: os.Stdin, out: os.Stdout, err: os.Stderr, patience: patience, process: true}
	return p.exit(p.run(ctx, args))
}

// Run runs one command line, whose first word is the name that the program was
// called by, until it is done or ctx ends, and returns the exit code. It takes
// SHOAL_… and HOME from the process's environment.
func Run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	p := &program{name: programName(args), in: in, out: out, err: errs, patience: patience}
	return p.exit(p.run(ctx, args))
}

// program is one run of the command line.
type program struct {
	name     string // node or shoal, as it was called
	in       io.Reader
	out, err io.Writer
	home     string   // --home as it was given, for the commands that hints name
	node     string   // --node, likewise
	given    []string // names of the flags on the command line
	asks     bool     // the command asks the local node
	met      bool     // that node answered before
	patience time.Duration
	process  bool // this program is all that the process does
}

// programName is the name that printed commands use.
func programName(args []string) string {
	if len(args) > 0 && strings.TrimSuffix(filepath.Base(args[0]), ".exe") == "shoal" {
		return "shoal"
	}
	return "node"
}

func (p *program) run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		args = args[1:]
	}
	if len(args) > 0 && args[0] == completeWord {
		p.complete(ctx, args[1:])
		return nil
	}
	if err := p.notNodeJS(args); err != nil {
		return err
	}
	app := p.app()
	line, given, err := arrange(app, args)
	p.given = given
	if err != nil {
		return err
	}
	return app.RunContext(ctx, line)
}

// app is the tree of commands.
func (p *program) app() *cli.App {
	app := &cli.App{
		Name:  p.name,
		Usage: "a peer of a Shoal mesh, and everything that is asked of it",
		Description: p.examples("Every machine runs the same program. Jobs go to any peer, run on the one that suits, and their results are content in IPFS.",
			"node serve --private --initial                        # found a swarm; prints the line for the next machine",
			"node submit examples/wordcount/job.yaml --follow      # from any peer"),
		HideHelpCommand:       true,
		CustomAppHelpTemplate: appHelp,
		Flags:                 []cli.Flag{p.homeFlag(), p.nodeFlag()},
		Commands: []*cli.Command{
			p.serve(), p.submit(), p.list(), p.describe(), p.logs(), p.wait(), p.cancel(), p.get(),
			p.peers(), p.status(), p.doctor(), p.labels(), p.token(), p.join(), p.add(), p.cat(), p.ls(), p.pin(), p.gc(), p.schema(), p.config(), p.key(), p.completion(), p.version(),
		},
		Reader: p.in, Writer: p.out, ErrWriter: p.err,
		ExitErrHandler: func(*cli.Context, error) {}, // Run says it and chooses the code
	}
	p.addNodeFlag(app.Commands)
	prepare(app.Commands)
	return app
}

// prepare gives every command what all have in common.
func prepare(commands []*cli.Command) {
	for _, c := range commands {
		c.HideHelpCommand = true // or an argument "help" would be taken for a command
		c.CustomHelpTemplate = commandHelp
		c.OnUsageError = func(_ *cli.Context, err error, _ bool) error {
			return usage("%s", strings.Replace(err.Error(), "for flag -", "for flag --", 1))
		}
		prepare(c.Subcommands)
	}
}

// examples is a description with commands that run as they stand, below the
// name that this program was called by.
func (p *program) examples(description string, lines ...string) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(description) {
		switch {
		case column+1+len(word) > 80:
			b.WriteString("\n")
			column = 0
		case i > 0:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteString("\n\nExamples:\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "   %s\n", strings.ReplaceAll(l, "node ", p.name+" "))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

const (
	appHelp = `{{.Name}} - {{.Usage}}

Usage: {{.Name}} COMMAND [ARGUMENTS] [FLAGS]

{{.Description}}

Commands:{{range .VisibleCommands}}
   {{.Name}}{{"\t"}}{{.Usage}}{{end}}

Flags:{{range .VisibleFlags}}
   {{.}}{{end}}

{{.Name}} COMMAND --help says more of a command.
`
	commandHelp = `{{.HelpName}} - {{.Usage}}

Usage: {{.HelpName}}{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}{{if .VisibleCommands}} COMMAND{{end}}{{if .VisibleFlags}} [FLAGS]{{end}}

{{.Description}}
{{if .VisibleCommands}}
Commands:{{range .VisibleCommands}}
   {{.Name}}{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}{{"\t"}}{{.Usage}}{{end}}
{{end}}
Flags:{{range .VisibleFlags}}
   {{.}}{{end}}
`
)
