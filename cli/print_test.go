package cli

import (
	"bytes"
	"strings"
	"testing"
)

// What peers and guests name themselves, or give as a reason, stays in its cell: it
// makes no row and no cell of its own, and moves no cursor.
func TestRowsStayRows(t *testing.T) {
	for text, want := range map[string]string{
		"attic":                       "attic",
		"boom\n":                      "boom",
		"\n":                          "-",
		"failed\nID  NAME  STATE":     "failed ID  NAME  STATE",
		"failed\r\nall is well":       "failed? all is well",
		"a\tb":                        "a?b",
		"\x1b[2J\x1b[1;1Hgone":        "?[2J?[1;1Hgone",
		"\u009b2Jgone":                "?2Jgone", // the same in one rune
		"a\vb\fc\u0085d\u2028e":       "a?b?c?d?e",
		"\u202egpj.exe\u2066":         "?gpj.exe?", // reads from the right
		"torn " + string([]byte{255}): "torn ?",
		"Zoë 日本 👩‍🔬":                  "Zoë 日本 👩‍🔬",
	} {
		var b bytes.Buffer
		row(&b, "x", text, "y")
		if got := b.String(); got != "x\t"+want+"\ty\n" {
			t.Errorf("%q is printed as %q", text, got)
		}
	}
	if got := printable("no room:\n  attic: \x1b[31mfull"); got != "no room:\n  attic: ?[31mfull" {
		t.Errorf("a message of two lines is printed as %q", got)
	}
	if strings.Contains(oneLine("a\nb"), "\n") {
		t.Error("one line has two")
	}
}
