package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// writeYAML writes JSON as YAML, with its fields in their order. What is in a
// string may be anybody's: names of files and jobs, and reasons from other peers.
// Whatever is not plainly a string stands in double quotes, with the escapes of
// JSON, which YAML has too. A library that judges by a list of bad beginnings
// left tabs, escape codes and "? x" bare.
func writeYAML(w io.Writer, text []byte) error {
	from := json.NewDecoder(bytes.NewReader(text))
	from.UseNumber()
	var out bytes.Buffer
	if err := yamlValue(&out, from, "", " "); err != nil {
		return err
	}
	_, err := w.Write(bytes.TrimLeft(out.Bytes(), " \n"))
	return err
}

// yamlValue writes the next value, which stands behind a key or a dash. Each line
// of a nested one begins with indent; the first stands behind before: on the line
// of its dash, or on a line of its own under its key.
func yamlValue(w *bytes.Buffer, from *json.Decoder, indent, before string) error {
	token, err := from.Token()
	if err != nil {
		return err
	}
	open, nested := token.(json.Delim)
	switch {
	case !nested:
		fmt.Fprintf(w, " %s\n", yamlScalar(token))
		return nil
	case !from.More():
		w.WriteString(map[json.Delim]string{'[': " []\n", '{': " {}\n"}[open])
	}
	if open == '[' && before == "\n" {
		indent = indent[2:] // dashes stand below their key
	}
	for first := true; from.More(); first = false {
		if first {
			w.WriteString(before)
		}
		if !first || before == "\n" {
			w.WriteString(indent)
		}
		if open == '[' {
			w.WriteString("-")
			err = yamlValue(w, from, indent+"  ", " ")
		} else {
			key, _ := from.Token()
			w.WriteString(yamlScalar(key) + ":")
			err = yamlValue(w, from, indent+"  ", "\n")
		}
		if err != nil {
			return err
		}
	}
	_, err = from.Token()
	return err
}

// plain is what YAML reads as a string and as nothing else, but for yamlWords.
var (
	plain     = regexp.MustCompile(`^((\./|--?)?[A-Za-z/]|[1-9][0-9]*[A-Za-z]+$)(:?[A-Za-z0-9_./@+=!,-])*( [A-Za-z0-9_./@+=!,-](:?[A-Za-z0-9_./@+=!,-])*)*$`)
	yamlWords = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
)

func yamlScalar(token json.Token) string {
	s, isText := token.(string)
	switch {
	case token == nil:
		return "null"
	case !isText:
		return fmt.Sprint(token)
	case plain.MatchString(s) && !slices.Contains(yamlWords, strings.ToLower(s)):
		return s
	}
	return quoted(s)
}

// quoted is s as JSON has it, with nothing in it that moves a terminal's cursor
// or turns letters around, and that YAML has no bare form of.
func quoted(s string) string {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always can be
	var out strings.Builder
	for _, r := range strings.TrimSuffix(text.String(), "\n") {
		switch {
		case unicode.IsPrint(r):
			out.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&out, `\U%08x`, r)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}
