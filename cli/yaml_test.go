package cli

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/goccy/go-yaml"
)

func TestYAML(t *testing.T) {
	for in, want := range map[string]string{
		`[]`:                                   "[]\n",
		`{}`:                                   "{}\n",
		`"a b"`:                                "a b\n",
		`[{"a":1,"b":[{"c":"d","e":{}},[2]]}]`: "- a: 1\n  b:\n  - c: d\n    e: {}\n  - - 2\n",
		`{"b":{"z":null,"w":["x",true]},"a":"5"}`: "b:\n  z: null\n  w:\n  - x\n  - true\na: \"5\"\n",
	} {
		var out bytes.Buffer
		if err := writeYAML(&out, []byte(in)); err != nil || out.String() != want {
			t.Errorf("%s became %q, %v", in, out.String(), err)
		}
	}
}

// Names of files and jobs are anybody's: none changes what is read, and none
// reaches the terminal as a command to it.
func TestYAMLOfAnyText(t *testing.T) {
	for _, s := range []string{
		"", " ", "a", "a b", "two  spaces", " lead", "trail ", "5", "1e3", "0x1f", "0xf", "1h", "-1h", "--", "-", "-a", "./a", "/", "1e", "07", "1_000", ".inf", "12:30:45", "2026-01-01", "yes", "Off", "NULL", "~", "=", "<<",
		"? x", "- x", "a: b", "a:", "a:b", "a ::b", ":a", "/a:5", "a b:", "12:30", "a #b", "#", "&a", "*a", "!a", "|", ">", "@a", "%a", "`a", "[a", "{a", "'a'", `"a"`, `\x1b`, "---", "...",
		"tab\tx", "cr\rx", "nl\nx", "nl\n", "esc\x1b[31m", "bell\a", "del\x7f", "c1\u009b31m", "nul\x00", "\u202etxt", "\u2028", "\ufeffa", "ünï", "😀", "\U000e0001", "<&>",
	} {
		value := map[string]any{"list": []any{s, map[string]any{"of": s}}, "text": s}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := writeYAML(&out, text); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		var back map[string]any
		if err := yaml.Unmarshal(out.Bytes(), &back); err != nil || !reflect.DeepEqual(back, value) {
			t.Errorf("%q became %q, which is %q, %v", s, out.String(), back, err)
		}
		if i := strings.IndexFunc(out.String(), func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }); i >= 0 {
			t.Errorf("%q became %q, with something bare at %d", s, out.String(), i)
		}
	}
}
