package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Everything is printed in plain letters: there is no colour to turn off.

// say tells the person at the terminal something that is no result.
func (p *program) say(format string, args ...any) { fmt.Fprintf(p.err, format+"\n", args...) }

// formats are the ways to print a result; the first is the default.
var formats = []string{"table", "wide", "json", "yaml"}

func formatFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: formats[0], Usage: "print as `FORMAT`: " + strings.Join(formats, ", ")}
}

// format is the checked value of -o.
func format(c *cli.Context) (string, error) {
	f := c.String("output")
	if slices.Contains(formats, f) {
		return f, nil
	}
	return "", usage("-o %s is no format; known are %s", f, strings.Join(formats, ", "))
}

// show prints v as the format says; people prints it as a table, with more
// columns if wide is set, in cells parted by tabs.
func (p *program) show(format string, v any, people func(w io.Writer, wide bool)) error {
	switch format {
	case "json", "yaml":
		return p.data(format, v)
	}
	w := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
	people(w, format == "wide")
	return w.Flush()
}

// data prints v for programs. YAML has the fields of JSON, in the same order.
func (p *program) data(format string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write the result as %s: %w", format, err)
	}
	if format == "yaml" {
		return writeYAML(p.out, text)
	}
	_, err = fmt.Fprintf(p.out, "%s\n", text)
	return err
}

// row prints one line of cells.
func row(w io.Writer, cells ...any) {
	for i, c := range cells {
		if i > 0 {
			io.WriteString(w, "\t")
		}
		text := oneLine(fmt.Sprint(c))
		if text == "" {
			text = "-"
		}
		io.WriteString(w, text)
	}
	io.WriteString(w, "\n")
}

// printable is s without what could move a terminal's cursor or turn the order
// of letters around: names and reasons come from other peers, and from the programs
// that jobs run. It is for messages, which may have several lines.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' || r == unicode.ReplacementChar || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return '?'
		}
		return r
	}, s)
}

// oneLine is s printable in one line, so that nobody's text looks like a row or a
// message of its own.
func oneLine(s string) string {
	return strings.ReplaceAll(printable(strings.TrimRight(s, "\n")), "\n", " ")
}

// many is a number of things.
func many(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// span is d to two digits or so.
func span(d time.Duration) string {
	switch {
	case d < time.Microsecond:
		return "0s"
	case d < time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < 48*time.Hour:
		return job.Duration(d.Round(time.Second)).String()
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// age is how long ago t was, as coarse as people say it.
func age(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := time.Since(t)
	switch {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// moment is t for a person.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// pairs are labels or variables, sorted.
func pairs(m map[string]string) string {
	var out []string
	for k, v := range m {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// shellQuote is s as one word of a command line.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_./:=,@%+", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
