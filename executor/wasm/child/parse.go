package child

import (
	"bytes"
	"encoding/json"
)

// ParseReport finds the Report in what a child wrote to its report pipe. ok is
// false when there is none: the child died first, and rest is what it said.
func ParseReport(b []byte) (r Report, rest string, ok bool) {
	head, line := b, []byte(nil)
	if i := bytes.LastIndex(b, []byte("\n"+reportMark)); i >= 0 {
		head, line = b[:i], b[i+1+len(reportMark):]
	}
	// A binary built for coverage has a last word after it.
	line, _, _ = bytes.Cut(line, []byte("\n"))
	if line == nil || json.Unmarshal(line, &r) != nil {
		return Report{}, string(bytes.TrimSpace(b)), false
	}
	return r, string(bytes.TrimSpace(head)), true
}
