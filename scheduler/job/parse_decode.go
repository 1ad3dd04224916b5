package job

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// place is a line and a column of a file, counted from 1.
type place struct{ line, column int }

func placeOf(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{1, 1}
	}
	return place{max(1, t.Position.Line), max(1, t.Position.Column)}
}

// reader fills a spec from a YAML tree. It remembers where each field stood
// and goes on after a fault, so that all are told at once.
type reader struct {
	file   string
	at     map[string]place // of each value, by its path
	faults Faults
}

// note adds a fault of the field path.
func (r *reader) note(at place, path, remedy, format string, args ...any) {
	r.faults = append(r.faults, &Fault{
		Field: path, What: fmt.Sprintf(format, args...), Remedy: remedy,
		File: r.file, Line: at.line, Column: at.column,
	})
}

// start is where n begins. (The token of a block mapping is its first colon.)
func (r *reader) start(n ast.Node) place {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return placeOf(n.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		return placeOf(n.Key.GetToken())
	}
	return placeOf(n.GetToken())
}

// root reads the whole file.
func (r *reader) root(n ast.Node, s *Spec) {
	if _, ok := n.(ast.MapNode); !ok {
		r.note(r.start(n), "", "it begins with task: {wasm: {module: ./main.wasm}}", "the job file is %s, and must be a mapping of fields", nodeKind(n))
		return
	}
	r.value(n, reflect.ValueOf(s).Elem(), "")
}

// value reads n into v. A field without a value is as one that is left out.
func (r *reader) value(n ast.Node, v reflect.Value, path string) {
	at := r.start(n)
	r.at[path] = at
	if n.Type() == ast.NullType {
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		r.quantity(n, t, v, path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		r.fields(n, v, path)
	case reflect.Map:
		r.texts(n, v, path)
	case reflect.Slice:
		r.list(n, v, path)
	case reflect.String:
		if text, ok := scalar(n); !ok {
			r.note(at, path, "", "is %s, and must be text", nodeKind(n))
		} else if isText(n) {
			v.SetString(text)
		} else {
			r.note(at, path, fmt.Sprintf("put it in quotes: %q", text), "is %s, and must be text", nodeKind(n))
		}
	default:
		// A field of Spec that this reader was not taught: a test reads every one.
		panic(fmt.Sprintf("job: cannot read into %v", v.Type()))
	}
}

// quantity reads a scalar whose type knows its own text form. An amount of
// nothing would be taken for one that is left out, so it is refused.
func (r *reader) quantity(n ast.Node, t encoding.TextUnmarshaler, v reflect.Value, path string) {
	at := r.start(n)
	text, ok := scalar(n)
	if !ok {
		r.note(at, path, "", "is %s, and must be an amount", nodeKind(n))
		return
	}
	switch err := t.UnmarshalText([]byte(text)).(type) {
	case nil:
		if v.IsZero() {
			r.note(at, path, "leave the field out for its default", "must be more than 0")
		}
	case *Fault:
		r.note(at, path, err.Remedy, "%s", err.What)
	default:
		r.note(at, path, "", "%v", err)
	}
}

// fields reads a mapping into a struct.
func (r *reader) fields(n ast.Node, v reflect.Value, path string) {
	index, names := fieldNames(v.Type())
	r.entries(n, path, func(key string, at place, value ast.Node) {
		i, ok := index[key]
		if !ok {
			remedy := "known are " + strings.Join(names, ", ")
			if near := Nearest(key, names); near != "" {
				remedy = "did you mean " + near + "?"
			}
			r.note(at, path, remedy, "unknown field %q", clip(key))
			return
		}
		r.value(value, v.Field(i), join(path, key))
	})
}

// fieldNames are the names of t's fields, as the json tags have them.
func fieldNames(t reflect.Type) (index map[string]int, names []string) {
	index = make(map[string]int)
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		index[name] = i
		names = append(names, name)
	}
	return index, names
}

// texts reads a mapping into a map of texts.
func (r *reader) texts(n ast.Node, v reflect.Value, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	r.entries(n, path, func(key string, at place, value ast.Node) {
		text := reflect.New(v.Type().Elem()).Elem()
		r.element(value, text, join(path, key), at)
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), text)
	})
}

// list reads a sequence into a slice.
func (r *reader) list(n ast.Node, v reflect.Value, path string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		r.note(r.start(n), path, "write [A, B], or one entry a line, each after a dash", "is %s, and must be a list", nodeKind(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	for i, e := range seq.Values {
		r.element(e, v.Index(i), fmt.Sprintf("%s[%d]", path, i), r.start(n))
	}
}

// element reads an entry of a list or a map, which must have a value.
func (r *reader) element(n ast.Node, v reflect.Value, path string, around place) {
	if n.Type() != ast.NullType {
		r.value(n, v, path)
		return
	}
	at := r.start(n)
	if at.line < around.line {
		at = around
	}
	r.note(at, path, `write "" for an empty text`, "has no value")
}

// entries calls each for every key of a mapping, once.
func (r *reader) entries(n ast.Node, path string, each func(key string, at place, value ast.Node)) {
	m, ok := n.(ast.MapNode)
	if !ok {
		r.note(r.start(n), path, "write its fields as KEY: VALUE", "is %s, and must be a mapping", nodeKind(n))
		return
	}
	first := make(map[string]place)
	for it := m.MapRange(); it.Next(); {
		at := placeOf(it.Key().GetToken())
		key, ok := scalar(it.Key())
		if before, twice := first[key]; !ok {
			r.note(at, path, "", "a key that is no text")
		} else if twice {
			r.note(at, path, fmt.Sprintf("it stands in line %d already", before.line), "field %q is given twice", clip(key))
		} else {
			first[key] = at
			each(key, at, it.Value())
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// scalar is the text of a node that is neither a list nor a mapping.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode, *ast.NullNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func isText(n ast.Node) bool {
	return n.Type() == ast.StringType || n.Type() == ast.LiteralType
}

// nodeKind is what a person would call n.
func nodeKind(n ast.Node) string {
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "a mapping"
	case ast.SequenceType:
		return "a list"
	case ast.IntegerType, ast.FloatType, ast.InfinityType, ast.NanType:
		return "a number"
	case ast.BoolType:
		return "true or false"
	case ast.NullType:
		return "nothing"
	}
	return "text"
}
