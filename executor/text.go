package executor

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of texts in results and errors, in bytes.
const (
	maxError = 1000 // of a whole one
	maxPart  = 200  // of a reference or a name in one
)

// Text is s as it may stand in a result or an error, which other peers keep and
// people's terminals show: one line of valid UTF-8 that shows what it holds, of
// at most limit bytes (and at least three). What guests, their files, broken
// children and other peers say goes through it, unless it is quoted with %q.
func Text(s string, limit int) string {
	const more = "…"
	var b strings.Builder
	for _, c := range s {
		switch {
		case unicode.IsSpace(c):
			c = ' '
		case !unicode.IsPrint(c):
			c = utf8.RuneError
		}
		if b.Len()+utf8.RuneLen(c) > limit {
			return whole(b.String(), limit-len(more)) + more
		}
		b.WriteRune(c)
	}
	return b.String()
}

// whole is at most the first n bytes of s, without part of a character.
func whole(s string, n int) string {
	n = min(n, len(s))
	for n > 0 && n < len(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// textError is an error whose text has been through Text.
type textError struct{ error }

func (e textError) Error() string { return Text(e.error.Error(), maxError) }

func (e textError) Unwrap() error { return e.error }
