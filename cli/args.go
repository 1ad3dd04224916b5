package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// arrange puts a command line into the order that the parser takes: command,
// flags, --, arguments. People write flags where they come to mind (`submit
// job.yaml --follow`); the parser takes everything behind the first argument
// for arguments. It also refuses unknown commands and flags, and names the
// nearest that is known. given are the names of the flags in it.
func arrange(app *cli.App, args []string) (line, given []string, err error) {
	a := arrangement{path: []string{app.Name}, commands: app.Commands, flags: app.Flags}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			a.rest, args = append(a.rest, args...), nil
		case len(arg) > 1 && arg[0] == '-':
			taken, err := a.flag(arg, args)
			if err != nil {
				return nil, nil, err
			}
			args = args[taken:]
		case len(a.commands) > 0:
			if err := a.command(arg); err != nil {
				return nil, nil, err
			}
		default:
			a.rest = append(a.rest, arg)
		}
	}
	switch {
	case len(a.path) == 1, a.help:
		return append(a.path, "--help"), nil, nil
	case len(a.commands) > 0 && !a.whole:
		return nil, nil, usage("%s needs one of: %s", strings.Join(a.path, " "), strings.Join(names(a.commands), ", "))
	}
	if slices.Contains(a.names, "node") && !a.takesNode {
		return nil, nil, usage("%s is about this machine alone and takes no --node", strings.Join(a.path, " "))
	}
	if slices.Contains(a.names, "home") && !a.takesHome {
		return nil, nil, usage("%s has nothing to do with a home and takes no --home", strings.Join(a.path, " "))
	}
	return slices.Concat(a.path, a.given, []string{"--"}, a.rest), a.names, nil
}

// arrangement is a command line as far as it was read.
type arrangement struct {
	path     []string       // the command's name, word by word
	whole    bool           // path is a command by itself, though others may follow it
	commands []*cli.Command // which may follow
	flags    []cli.Flag     // which path takes
	given    []string       // flags that were given, with their values
	names    []string       // of these flags
	rest     []string       // arguments
	help     bool

	takesNode bool // the command can ask another node than the local one
	takesHome bool // the command reads a home, or asks the node that has it
}

// command takes the next word of the command's name.
func (a *arrangement) command(word string) error {
	if word == "help" && len(a.path) == 1 {
		a.help = true
		return nil
	}
	i := slices.IndexFunc(a.commands, func(c *cli.Command) bool { return c.HasName(word) })
	if i < 0 {
		known := names(a.commands)
		if near := job.Nearest(word, known); near != "" {
			return usage("unknown command %q; did you mean %s %s?", word, strings.Join(a.path, " "), near)
		}
		return usage("unknown command %q; known are %s", word, strings.Join(known, ", "))
	}
	c := a.commands[i]
	a.path, a.commands, a.flags = append(a.path, c.Name), c.Subcommands, append(a.flags, c.Flags...)
	a.whole = c.Action != nil
	takes := func(name string) bool {
		return slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return f.Names()[0] == name })
	}
	a.takesNode, a.takesHome = takes("node"), takes("home")
	return nil
}

// flag takes a flag and says how many of the words behind it are its value.
func (a *arrangement) flag(arg string, next []string) (taken int, err error) {
	name, _, whole := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if name == "help" || name == "h" {
		a.help = true
		return 0, nil
	}
	f := a.find(name)
	if f == nil && !whole && !strings.HasPrefix(arg, "--") && len(name) > 1 {
		// -ojson is -o json.
		if f = a.find(name[:1]); f != nil && takesValue(f) {
			a.given, a.names = append(a.given, "-"+name[:1], name[1:]), append(a.names, f.Names()[0])
			return 0, nil
		}
		f = nil
	}
	if f == nil {
		return 0, a.unknownFlag(arg, name)
	}
	a.names = append(a.names, f.Names()[0])
	switch {
	case whole || !takesValue(f):
		a.given = append(a.given, arg)
		return 0, nil
	case len(next) == 0:
		return 0, usage("flag %s needs a value", arg)
	}
	a.given = append(a.given, arg, next[0])
	return 1, nil
}

func (a *arrangement) find(name string) cli.Flag {
	i := slices.IndexFunc(a.flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	if i < 0 {
		return nil
	}
	return a.flags[i]
}

func (a *arrangement) unknownFlag(arg, name string) error {
	var known []string
	for _, f := range a.flags {
		if n := f.Names()[0]; !slices.Contains(known, n) {
			known = append(known, n)
		}
	}
	command := strings.Join(a.path, " ")
	arg, _, _ = strings.Cut(arg, "=")
	if near := job.Nearest(name, known); near != "" {
		return usage("unknown flag %s of %s; did you mean --%s?", arg, command, near)
	}
	return usage("unknown flag %s of %s; see %s --help", arg, command, command)
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

func names(commands []*cli.Command) []string {
	var out []string
	for _, c := range commands {
		out = append(out, c.Name)
	}
	return out
}

// printing is the action of a command that takes so many arguments (see need), and
// prints in the format of -o. What was typed is checked first.
func printing(least, most int, f func(c *cli.Context, as string) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := need(c, least, most); err != nil {
			return err
		}
		as, err := format(c)
		if err != nil {
			return err
		}
		return f(c, as)
	}
}

// need refuses a number of arguments that the command does not take. most < 0
// is any number.
func need(c *cli.Context, least, most int) error {
	n := c.Args().Len()
	switch {
	case n < least:
		return usage("%s needs %s; see %s --help", c.Command.HelpName, c.Command.ArgsUsage, c.Command.HelpName)
	case most >= 0 && n > most && c.Command.ArgsUsage == "":
		return usage("%s takes no arguments, and %q is one", c.Command.HelpName, c.Args().First())
	case most >= 0 && n > most:
		return usage("%s takes %s alone, and %q is one more", c.Command.HelpName, c.Command.ArgsUsage, c.Args().Get(most))
	}
	return nil
}
