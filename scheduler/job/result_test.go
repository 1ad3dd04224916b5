package job

import (
	"strings"
	"testing"
)

const anyCID = "bafkreidon73zkcrwdb5iafqtijxildoonbwnpv7dyd6ef3qdgads2jc4su"

func TestResultAnswersItsSpec(t *testing.T) {
	asked := Spec{Outputs: []OutputDir{{Name: "one", At: "/one"}, {Name: "two", At: "/two"}}}
	one, two := Output{"one", anyCID, 1}, Output{"two", anyCID, 0}
	for _, c := range []struct {
		name string
		r    Result
		want string // part of the error; empty if it is good
	}{
		{"all there", Result{Outputs: []Output{one, two}}, ""},
		{"in another order", Result{Outputs: []Output{two, one}}, ""},
		{"failed before it was published", Result{Exit: 1, Outputs: []Output{one}}, ""},
		{"one missing", Result{Outputs: []Output{one}}, "1 outputs, and the job names 2"},
		{"one too many", Result{Exit: 1, Outputs: []Output{{"three", anyCID, 1}}}, "three, which the job does not name"},
		{"twice the same", Result{Outputs: []Output{one, one}}, "one is there twice"},
		{"a path for a name", Result{Outputs: []Output{{"../two", anyCID, 1}}}, "no name"},
		{"a name that is no UTF-8", Result{Outputs: []Output{{"o\xff", anyCID, 1}}}, "no name"},
		{"no CID", Result{Outputs: []Output{{"one", "c", 1}}}, "which is none"},
		{"a long CID", Result{Outputs: []Output{{"one", "b" + strings.Repeat("a", maxCID), 1}}}, "a CID of 129 bytes"},
		{"less than nothing", Result{Outputs: []Output{{"one", anyCID, -1}}}, "-1 bytes"},
		{"negative time", Result{Exit: 1, Usage: Usage{Wall: -1}}, "usage is negative"},
		{"thousands", Result{Exit: 1, Outputs: make([]Output, maxMounts+1)}, "101 outputs"},
	} {
		err := c.r.Answers(asked)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
