package job

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing wrong with a spec, and where.
type Fault struct {
	Field  string // path of the field, such as inputs[1].at; empty for the whole
	What   string // what is wrong
	Remedy string // what to write instead; may be empty

	// Where it stands, if it was read from a file. Lines and columns count from 1.
	File         string
	Line, Column int
}

// Error is one line, with the file in the form that editors and terminals
// understand: FIELD: WHAT at FILE:LINE:COLUMN; REMEDY.
func (f *Fault) Error() string {
	var b strings.Builder
	if f.Field != "" {
		b.WriteString(f.Field + ": ")
	}
	b.WriteString(f.What)
	if f.Line > 0 {
		fmt.Fprintf(&b, " at %s:%d:%d", f.File, f.Line, f.Column)
	}
	if f.Remedy != "" {
		b.WriteString("; " + f.Remedy)
	}
	return b.String()
}

// Faults are all that was found wrong with a spec, in the order of the file.
type Faults []*Fault

// Error is one line for each fault, up to a screenful.
func (fs Faults) Error() string {
	const most = 20
	var lines []string
	for _, f := range fs[:min(len(fs), most)] {
		lines = append(lines, f.Error())
	}
	if n := len(fs) - most; n > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(lines, "\n")
}

// err is the error for fs: none if there is none.
func (fs Faults) err() error {
	if len(fs) == 0 {
		return nil
	}
	slices.SortStableFunc(fs, func(a, b *Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return fs
}

// add notes a fault of a field.
func (fs *Faults) add(field, remedy, format string, args ...any) {
	*fs = append(*fs, &Fault{Field: field, What: fmt.Sprintf(format, args...), Remedy: remedy})
}

// fault is a Fault that does not know its field yet.
func fault(remedy, format string, args ...any) *Fault {
	return &Fault{What: fmt.Sprintf(format, args...), Remedy: remedy}
}
