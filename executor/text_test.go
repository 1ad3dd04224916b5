package executor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"", 10, ""},
		{"as it is: é, 日本 ", 100, "as it is: é, 日本 "},
		{"exactly", 7, "exactly"},
		{"one more", 7, "one …"},
		{"éééé", 7, "éé…"},
		{"a\xffb", 10, "a\uFFFDb"},
		{"\xff\xff\xff", 8, "\uFFFD…"},
		{"two\nlines\t\r", 100, "two lines  "},
		{"\x1b[31mred\x00\u202e", 100, "\uFFFD[31mred\uFFFD\uFFFD"},
	} {
		if got := Text(c.in, c.limit); got != c.want {
			t.Errorf("%q in %d: got %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\xff日本", 5)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = 3 + limit&0xff
		got := Text(s, limit)
		if !utf8.ValidString(got) || len(got) > limit || strings.ContainsAny(got, "\n\x00\x1b") {
			t.Errorf("%q in %d is %q", s, limit, got)
		}
		if again := Text(got, limit); again != got {
			t.Errorf("%q became %q", got, again)
		}
	})
}

func TestTextErrorIsWhatItWas(t *testing.T) {
	err := error(textError{fmt.Errorf("\xff%s: %w", strings.Repeat("x", 9999), context.Canceled)})
	if !errors.Is(err, context.Canceled) || len(err.Error()) > maxError || !utf8.ValidString(err.Error()) {
		t.Errorf("got %d bytes, %q…", len(err.Error()), err.Error()[:10])
	}
}
