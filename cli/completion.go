package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node"
	"github.com/shoal-mesh/shoal/node/api"
)

// completeWord is the command that the shells' scripts call: it takes the words of
// a command line up to the cursor, the last of them begun or empty, and prints
// what that one could become, one on a line. It is not for people, so that it may
// change together with the scripts.
const completeWord = "__complete"

// askTime is how long completion waits for the local node: whoever presses a key
// does not wait for what may not come.
const askTime = 300 * time.Millisecond

// shells are the scripts by the name of their shell; NAMES are those of the
// commands that it is for.
var shells = map[string]string{
	"bash": `# Completion for NAMES in bash. Put this into ~/.bashrc:
#   source <(NAME completion bash)
_shoal_complete() {
	local IFS=$'\n'
	COMPREPLY=($("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _shoal_complete NAMES
`,
	"zsh": `#compdef NAMES
# Completion for NAMES in zsh. Put this into ~/.zshrc, after compinit:
#   source <(NAME completion zsh)
_shoal_complete() {
	local -a found
	found=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ -n "${found[1]}" ]]; then
		compadd -a found
	else
		_files
	fi
}
compdef _shoal_complete NAMES
`,
	"fish": `# Completion for NAMES in fish. Put it where fish looks:
#   NAME completion fish >~/.config/fish/completions/NAME.fish
function __shoal_complete
	set -l words (commandline -opc)
	set -l begun (commandline -ct)
	$words[1] __complete $words[2..-1] "$begun" 2>/dev/null
end
for name in NAMES
	complete -c $name -a '(__shoal_complete)'
end
`,
}

func (p *program) completion() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script that completes commands in a shell",
		ArgsUsage: "bash|zsh|fish",
		Description: p.examples("It completes commands, flags, and the IDs of jobs that the local node knows. Called as node it is for both names; "+
			"called as shoal for that alone, because node is then another program.",
			"node completion bash >shoal.bash"),
		Action: func(c *cli.Context) error {
			if err := need(c, 1, 1); err != nil {
				return err
			}
			script, ok := shells[c.Args().First()]
			if !ok {
				return usage("%q is no shell that is completed in; known are bash, zsh, fish", c.Args().First())
			}
			names := "shoal"
			if p.name != names {
				names += " " + p.name
			}
			_, err := fmt.Fprint(p.out, strings.NewReplacer("NAMES", names, "NAME", p.name).Replace(script))
			return err
		},
	}
}

// complete prints what the last of words can become. Whatever goes wrong, it says
// nothing: the shell then offers files.
func (p *program) complete(ctx context.Context, words []string) {
	begun := ""
	if n := len(words); n > 0 {
		begun, words = words[n-1], words[:n-1]
	}
	for _, word := range p.candidates(ctx, words, begun) {
		if strings.HasPrefix(word, begun) {
			fmt.Fprintln(p.out, oneLine(word))
		}
	}
}

// candidates are the words that can follow words, of which the first letters are
// typed.
func (p *program) candidates(ctx context.Context, words []string, begun string) []string {
	app := p.app()
	a := arrangement{path: []string{app.Name}, commands: app.Commands, flags: app.Flags}
	home := ""
	for i := 0; i < len(words); i++ {
		switch word := words[i]; {
		case word == "--":
			return nil
		case strings.HasPrefix(word, "-"):
			name, value, whole := strings.Cut(strings.TrimLeft(word, "-"), "=")
			f := a.find(name)
			if f != nil && !whole && takesValue(f) {
				if i++; i == len(words) {
					return values(f)
				}
				value = words[i]
			}
			if name == "home" {
				home = value
			}
		case len(a.commands) > 0:
			if a.command(word) != nil {
				return nil
			}
		}
	}
	switch {
	case strings.HasPrefix(begun, "-"):
		return flagWords(a.flags)
	case len(a.commands) > 0:
		return names(a.commands)
	}
	return p.arguments(ctx, strings.Join(a.path[1:], " "), home)
}

// flagWords are the flags as one writes them.
func flagWords(flags []cli.Flag) (out []string) {
	for _, f := range flags {
		if word := "--" + f.Names()[0]; !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return append(out, "--help")
}

// values are what a flag takes, where that is a choice.
func values(f cli.Flag) []string {
	switch f.Names()[0] {
	case "output":
		if s, ok := f.(*cli.StringFlag); ok && s.Value == formats[0] { // not the DIR of get
			return formats
		}
	case "log-level":
		return logLevels
	case "log-format":
		return logFormats
	}
	return nil
}

// arguments are what a command takes that the local node knows, as far as it
// answers at once.
func (p *program) arguments(ctx context.Context, command, home string) (out []string) {
	switch command {
	case "completion":
		return []string{"bash", "fish", "zsh"}
	case "describe", "logs", "wait", "cancel", "get":
	default:
		return nil
	}
	if home == "" {
		home = os.Getenv("SHOAL_HOME")
	}
	if home == "" {
		var err error
		if home, err = defaultHome(); err != nil {
			return nil
		}
	}
	ctx, stop := context.WithTimeout(ctx, askTime)
	defer stop()
	list, err := api.NewClient(node.SocketPath(home)).List(ctx)
	if err != nil {
		return nil
	}
	for _, j := range list.Jobs {
		out = append(out, string(j.ID))
	}
	return out
}
