package api

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Patterns of the text forms of job's quantities. They accept everything that
// the types' UnmarshalText does, and a few amounts that it refuses because they
// cannot be counted.
const (
	number          = `([0-9]+(\.[0-9]*)?|\.[0-9]+)`
	cpuPattern      = `^` + number + `m?$`
	bytesPattern    = `^` + number + `([KMGT]iB|[kKMGT]B|B)?$`
	durationPattern = `^(0|(` + number + `(h|m|s|ms|us|µs|μs|ns))+)$`
)

// The types below stand for job's in a schema: job must not know huma, so it
// cannot say its schemas itself.
type (
	cpuText      struct{}
	bytesText    struct{}
	durationText struct{}
	stateText    struct{}
	kindText     struct{}
	cpuYAML      struct{}
	bytesYAML    struct{}
)

func (cpuText) Schema(huma.Registry) *huma.Schema {
	return text(cpuPattern, "an amount of processor such as 500m, 2 or 1.5")
}

func (bytesText) Schema(huma.Registry) *huma.Schema {
	return text(bytesPattern, "an amount of bytes such as 256MiB or 4096")
}

func (durationText) Schema(huma.Registry) *huma.Schema {
	return text(durationPattern, "a span of time such as 90s or 1h30m")
}

func (stateText) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for v := job.Waiting; v <= job.Cancelled; v++ {
		s.Enum = append(s.Enum, v.String())
	}
	return s
}

func (kindText) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for v := job.Submitted; v <= job.CancelledBy; v++ {
		s.Enum = append(s.Enum, v.String())
	}
	return s
}

// In job.yaml an amount without a unit is a number, unless one quotes it.
func (cpuYAML) Schema(r huma.Registry) *huma.Schema { return orNumber(cpuText{}.Schema(r)) }

func (bytesYAML) Schema(r huma.Registry) *huma.Schema { return orNumber(bytesText{}.Schema(r)) }

func text(pattern, inWords string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Pattern: pattern, PatternDescription: inWords}
}

func orNumber(s *huma.Schema) *huma.Schema {
	zero := 0.0
	return &huma.Schema{AnyOf: []*huma.Schema{s, {Type: huma.TypeNumber, Minimum: &zero}}}
}

// newRegistry makes a registry that knows how job's types look as text, and
// that describes our problem where huma would describe its own error.
func newRegistry(prefix string) huma.Registry {
	r := huma.NewMapRegistry(prefix, huma.DefaultSchemaNamer)
	r.RegisterTypeAlias(reflect.TypeFor[job.CPU](), reflect.TypeFor[cpuText]())
	r.RegisterTypeAlias(reflect.TypeFor[job.Bytes](), reflect.TypeFor[bytesText]())
	r.RegisterTypeAlias(reflect.TypeFor[job.Duration](), reflect.TypeFor[durationText]())
	r.RegisterTypeAlias(reflect.TypeFor[job.State](), reflect.TypeFor[stateText]())
	r.RegisterTypeAlias(reflect.TypeFor[job.Kind](), reflect.TypeFor[kindText]())
	r.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[problem]())
	return r
}

// JobSchema is the JSON Schema (draft 2020-12) of job.yaml, from the type that
// its parser and the API use.
func JobSchema() ([]byte, error) {
	const defs = "#/$defs/"
	r := newRegistry(defs)
	r.RegisterTypeAlias(reflect.TypeFor[job.CPU](), reflect.TypeFor[cpuYAML]())
	r.RegisterTypeAlias(reflect.TypeFor[job.Bytes](), reflect.TypeFor[bytesYAML]())

	root := r.Schema(reflect.TypeFor[job.Spec](), false, "")
	oneOfPointers(r.SchemaFromRef(defs+"Task"), reflect.TypeFor[job.Task]())
	for _, s := range r.Map() {
		for _, p := range s.Properties {
			strict(p)
		}
	}

	root.Title = "A Shoal job"
	others := map[string]*huma.Schema{}
	for name, s := range r.Map() {
		if s != root {
			others[name] = s
		}
	}
	root.Extensions = map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"$defs":   others,
	}
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the schema of job.yaml: %w", err)
	}
	return append(out, '\n'), nil
}

// oneOfPointers demands exactly one of the fields of t that point to a struct:
// the engines a task can run in.
func oneOfPointers(s *huma.Schema, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			s.OneOf = append(s.OneOf, &huma.Schema{Required: []string{name}})
		}
	}
	slices.SortFunc(s.OneOf, func(a, b *huma.Schema) int { return strings.Compare(a.Required[0], b.Required[0]) })
}

// strict takes out of s what is right for Go's JSON and wrong in a file that a
// person writes: a list that is null, and huma's own keyword.
func strict(s *huma.Schema) {
	s.Nullable = false
	s.PatternDescription = ""
	for _, sub := range s.AnyOf {
		strict(sub)
	}
	if s.Items != nil {
		strict(s.Items)
	}
}
