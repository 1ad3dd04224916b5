package scheduler

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "",
		"plain":                         "plain",
		"a\xffb\xc3":                    "a\ufffdb\ufffd",
		strings.Repeat("x", keptText):   strings.Repeat("x", keptText),
		strings.Repeat("x", keptText+1): strings.Repeat("x", keptText-3) + "…",
		"x" + strings.Repeat("é", 700):  "x" + strings.Repeat("é", 510) + "…",
	} {
		if got := clean(in); got != want {
			t.Errorf("%.40q… became %q", in, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		in := strings.Repeat(string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")), rapid.IntRange(1, 300).Draw(t, "times"))
		out := clean(in)
		if len(out) > keptText || !utf8.ValidString(out) || clean(out) != out {
			t.Fatalf("%q became %q", in, out)
		}
	})
}
