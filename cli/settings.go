package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/goccy/go-yaml/ast"
	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// secrets are the settings whose values nobody is shown.
var secrets = []string{"token"}

// setting is one of a node's settings as it is in force.
type setting struct {
	Name    string `json:"name"`
	Value   any    `json:"value"`             // text, true or false, a list of texts, or null if nothing sets it
	Default string `json:"default,omitempty"` // what it comes to if nothing sets it, in words
	Origin  string `json:"origin"`            // "flag", "environment SHOAL_…", "FILE:LINE" or "default"
}

const (
	fromFlag    = "flag"
	fromDefault = "default"
)

// settings are all of them, in the order of the flags.
type settings []setting

// settle reads the config file into the flags of c that neither the command line
// nor the environment sets, so that a command reads its flags as if all had been
// given, and says where each value came from. It knows nothing of any one flag
// but home and config: a new one can stand in the file without another word.
func (p *program) settle(c *cli.Context) (settings, error) {
	file, err := p.openConfig(c)
	if err != nil {
		return nil, err
	}
	origin := map[string]string{}
	for _, f := range c.Command.Flags {
		origin[f.Names()[0]] = p.origin(f)
	}
	if file != nil {
		for _, e := range file.entries {
			p.take(c, file, e, origin)
		}
		if err := file.err(); err != nil {
			return nil, err
		}
	}
	home, err := p.homeOf(c)
	if err != nil {
		return nil, err
	}
	var out settings
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if name == "help" || name == "output" {
			continue
		}
		s := setting{Name: name, Value: valueOf(c, f), Origin: origin[name]}
		switch {
		case name == "home":
			s.Value = home
		case name == "config" && file != nil:
			s.Value = file.path
		case slices.Contains(secrets, name) && s.Value != nil:
			s.Value = "(set)"
		}
		if s.Value == nil {
			s.Default = defaultText(f)
		}
		out = append(out, s)
	}
	return out, nil
}

// openConfig reads the file that --config names, or the one in the home if there
// is one. Settings that are somebody's secret must not lie open.
func (p *program) openConfig(c *cli.Context) (*configFile, error) {
	path := c.String("config")
	if path == "" {
		home, err := p.homeOf(c)
		if err != nil {
			return nil, err
		}
		path = filepath.Join(home, "config.yaml")
	}
	f, err := readConfig(path)
	switch {
	case (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)) && c.String("config") == "":
		return nil, nil
	case err != nil:
		return nil, usage("%w", err)
	}
	for _, e := range f.entries {
		if slices.Contains(secrets, e.name) && !f.private {
			return nil, usage("%s:%d holds a %s, and others than its owner can read the file: run chmod 600 %s", path, e.key.Position.Line, e.name, shellQuote(path))
		}
	}
	return f, nil
}

// origin is what sets a flag, the file aside. A variable that is empty sets
// nothing.
func (p *program) origin(f cli.Flag) string {
	if slices.Contains(p.given, f.Names()[0]) {
		return fromFlag
	}
	if d, ok := f.(cli.DocGenerationFlag); ok {
		for _, v := range d.GetEnvVars() {
			if os.Getenv(v) != "" {
				return "environment " + v
			}
		}
	}
	return fromDefault
}

// take puts one entry of the file into its flag, unless something of higher
// precedence sets it: then only its type is looked at.
func (p *program) take(c *cli.Context, file *configFile, e configEntry, origin map[string]string) {
	note := func(remedy, format string, args ...any) { file.note(e.key, e.name, remedy, format, args...) }
	var known []string
	var flag cli.Flag
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if name == "help" || name == "config" || name == "output" {
			continue
		}
		known = append(known, name)
		if name == e.name {
			flag = f
		}
	}
	switch {
	case flag == nil:
		remedy := "known are " + strings.Join(known, ", ")
		if near := job.Nearest(e.name, known); near != "" {
			remedy = "did you mean " + near + "?"
		}
		file.note(e.key, "", remedy, "unknown setting %q", clipped(e.name))
		return
	case e.name == "home" && c.String("config") == "":
		note("set it with --home or SHOAL_HOME", "cannot stand in the config file of a home")
		return
	}
	value, remedy, err := flagText(flag, e.node)
	if err != nil {
		note(remedy, "%v", err)
		return
	}
	if origin[e.name] != fromDefault {
		return
	}
	if err := c.Set(e.name, value); err != nil {
		note("", "%v", err)
		return
	}
	origin[e.name] = fmt.Sprintf("%s:%d", file.path, e.key.Position.Line)
}

// flagText is a node's value as the flag's Set takes it.
func flagText(f cli.Flag, n ast.Node) (value, remedy string, err error) {
	text, scalar := scalarText(n)
	switch _, isBool := f.(*cli.BoolFlag); {
	case n.Type() == ast.NullType:
		return "", "write a value, or leave the line out", errors.New("has no value")
	case isBool && n.Type() != ast.BoolType:
		return "", "write true or false", fmt.Errorf("is %s, and must be true or false", kindOf(n))
	case isBool:
		return text, "", nil
	case isSlice(f):
		return listText(f, n)
	case !scalar:
		return "", "", fmt.Errorf("is %s, and must be one value", kindOf(n))
	}
	if _, isText := f.(*cli.StringFlag); isText && !isString(n) {
		return "", "put it in quotes", fmt.Errorf("is %s, and must be text", kindOf(n))
	}
	return text, "", nil
}

// listText is a list for a flag that may be given again: a list, one value
// alone, or, where values are KEY=VALUE, a mapping.
func listText(f cli.Flag, n ast.Node) (value, remedy string, err error) {
	_, isText := f.(*cli.StringSliceFlag)
	add := func(all []string, n ast.Node, prefix string) ([]string, error) {
		text, ok := scalarText(n)
		switch {
		case !ok:
			return nil, fmt.Errorf("has %s in it, and takes single values", kindOf(n))
		case isText && !isString(n):
			remedy = "put it in quotes"
			return nil, fmt.Errorf("has %s in it, and takes text", kindOf(n))
		}
		return append(all, prefix+text), nil
	}
	var all []string
	switch n := n.(type) {
	case *ast.SequenceNode:
		for _, v := range n.Values {
			if all, err = add(all, v, ""); err != nil {
				return "", remedy, err
			}
		}
	case ast.MapNode:
		if d, ok := f.(cli.DocGenerationFlag); !ok || !strings.Contains(d.GetUsage(), "=") {
			return "", "write a list: [A, B]", errors.New("is a mapping, and must be a list")
		}
		seen := map[string]bool{}
		for it := n.MapRange(); it.Next(); {
			key, ok := scalarText(it.Key())
			if !ok || seen[key] {
				return "", "", errors.New("has a key that is no text, or is given twice")
			}
			seen[key] = true
			if all, err = add(all, it.Value(), key+"="); err != nil {
				return "", remedy, err
			}
		}
	default:
		if all, err = add(nil, n, ""); err != nil {
			return "", remedy, err
		}
	}
	if !isText {
		return strings.Join(all, ","), "", nil
	}
	return cli.NewStringSlice(all...).Serialize(), "", nil
}

func isSlice(f cli.Flag) bool {
	s, ok := f.(cli.DocGenerationSliceFlag)
	return ok && s.IsSliceFlag()
}

func isString(n ast.Node) bool { return n.Type() == ast.StringType || n.Type() == ast.LiteralType }

// valueOf is the value of a flag, nil where it stands for "not set".
func valueOf(c *cli.Context, f cli.Flag) any {
	name := f.Names()[0]
	switch f := f.(type) {
	case *cli.BoolFlag:
		return c.Bool(name)
	case *cli.StringSliceFlag:
		if v := c.StringSlice(name); len(v) > 0 {
			return v
		}
		return nil
	case *cli.GenericFlag:
		v := c.Generic(name).(cli.Generic).String()
		if c.IsSet(name) || f.DefaultText == "" {
			return v
		}
		return nil
	case *cli.StringFlag:
		if v := c.String(name); v != "" {
			return v
		}
		return nil
	}
	return fmt.Sprint(c.Value(name))
}

func defaultText(f cli.Flag) string {
	if d, ok := f.(cli.DocGenerationFlag); ok {
		return d.GetDefaultText()
	}
	return ""
}

// explain adds to an error that speaks of a flag where that was set, if it was
// not on the command line: nobody finds a flag there that he did not type.
func (s settings) explain(err error) error {
	if err == nil {
		return nil
	}
	for _, w := range strings.FieldsFunc(err.Error(), func(r rune) bool { return strings.ContainsRune(" ,:;=()`", r) }) {
		for _, v := range s {
			if w == "--"+v.Name && v.Origin != fromFlag && v.Origin != fromDefault {
				return usage("%w (set in %s)", err, v.Origin)
			}
		}
	}
	return err
}
