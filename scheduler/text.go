package scheduler

import (
	"strings"
	"unicode/utf8"
)

// keptText is how much of a text is kept, in bytes; maxText, which peers take,
// leaves room above it.
const keptText = 1 << 10

// clean makes a text of anybody, be it a guest, a peer or a person, fit for
// events and messages, which are UTF-8 throughout: it replaces bytes that are no
// characters, and cuts a long text between two characters.
func clean(s string) string {
	// What comes later is not kept, and need not be looked at.
	s = strings.ToValidUTF8(s[:min(len(s), 2*keptText)], string(utf8.RuneError))
	if len(s) <= keptText {
		return s
	}
	const more = "…"
	end := keptText - len(more)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + more
}
