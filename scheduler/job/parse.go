package job

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxFile is the largest job file that Parse reads, in bytes.
const MaxFile = 1 << 20

// maxDepth bounds how deep lists and mappings may stand in one another on a
// line: a job file needs five, and the YAML parser recurses.
const maxDepth = 32

// maxTokens bounds how many words and marks a job file has: the time that the
// YAML parser takes grows with the square of the entries of a list or mapping.
const maxTokens = 30_000

// Parse reads a job file and checks it (see Validate). It is strict: what is
// not known, not of the right type, given twice or impossible is refused.
// Every error is a Faults with the place of each fault in filename, which Parse
// does not open. References to local files stay as they are (see Local).
//
// The YAML is plain: one document, without anchors, aliases, merge keys and
// tags, so that a small file cannot grow into a large spec.
func Parse(text []byte, filename string) (Spec, error) {
	r := reader{file: filename, at: map[string]place{"": {1, 1}}}
	body := r.yaml(text)
	if len(r.faults) > 0 {
		return Spec{}, r.faults.err()
	}
	var s Spec
	r.root(body, &s)
	if len(r.faults) == 0 {
		r.validate(s)
	}
	if err := r.faults.err(); err != nil {
		return Spec{}, err
	}
	return s, nil
}

// yaml turns text into a tree, or notes why it cannot.
func (r *reader) yaml(text []byte) (body ast.Node) {
	// The parser is a third party's and text anybody's: a bug in it must not
	// end a node that was asked to check a file.
	defer func() {
		if p := recover(); p != nil {
			r.note(place{1, 1}, "", "", "cannot be read as YAML (%v)", p)
			body = nil
		}
	}()
	switch {
	case len(text) > MaxFile:
		r.note(place{1, 1}, "", "give long lists in a file that is an input of the job", "the job file has more than %v", Bytes(MaxFile))
		return nil
	case !utf8.Valid(text):
		r.note(badByte(text), "", "save the file as UTF-8", "a character that is not UTF-8")
		return nil
	}
	tokens := lexer.Tokenize(string(text))
	r.tokens(tokens)
	if len(r.faults) > 0 {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil
	}
	return r.document(file)
}

// badByte is the place of the first byte that is not UTF-8.
func badByte(text []byte) place {
	at := place{1, 1}
	for len(text) > 0 {
		c, n := utf8.DecodeRune(text)
		switch {
		case c == utf8.RuneError && n == 1:
			return at
		case c == '\n':
			at = place{at.line + 1, 1}
		default:
			at.column++
		}
		text = text[n:]
	}
	return at
}

// tokens refuses what a job file has no use for, before anything recurses.
func (r *reader) tokens(tokens token.Tokens) {
	if len(tokens) > maxTokens {
		r.note(placeOf(tokens[maxTokens]), "", "give long lists in a file that is an input of the job", "the job file has more than %d words and marks", maxTokens)
		return
	}
	flow, dashes, line := 0, 0, 0
	for _, t := range tokens {
		at := placeOf(t)
		if at.line != line {
			line, dashes = at.line, 0
		}
		switch t.Type {
		case token.AnchorType, token.AliasType:
			r.note(at, "", "write the value out at each place", "anchors and aliases (%s) are not read in a job file", clip(t.Value))
		case token.MergeKeyType:
			r.note(at, "", "write the fields out at each place", "merge keys (<<) are not read in a job file")
		case token.TagType:
			r.note(at, "", "leave it out", "tags (%s) are not read in a job file", clip(t.Value))
		case token.MappingKeyType:
			r.note(at, "", "write KEY: VALUE", "keys that begin with ? are not read in a job file")
		case token.DirectiveType:
			r.note(at, "", "leave it out", "directives (%%) are not read in a job file")
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType:
			dashes++
		}
		if flow+dashes > maxDepth {
			r.note(at, "", "", "lists and mappings inside one another more than %d deep", maxDepth)
		}
		if len(r.faults) > 0 {
			return
		}
	}
}

// syntax notes what the YAML parser says.
func (r *reader) syntax(err error) {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		r.note(place{1, 1}, "", "", "not YAML: %s", firstLine(err.Error()))
		return
	}
	r.note(placeOf(at.GetToken()), "", "", "not YAML: %s", firstLine(at.GetMessage()))
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// document is the body of the only document.
func (r *reader) document(file *ast.File) ast.Node {
	var body ast.Node
	for _, doc := range file.Docs {
		if doc == nil || doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			r.note(r.start(doc.Body), "", "submit one file for each job", "a second document in one job file")
			return nil
		}
		body = doc.Body
	}
	if body == nil {
		r.note(place{1, 1}, "", "a job needs at least: task: {wasm: {module: ./main.wasm}}", "the job file is empty")
	}
	return body
}

// validate checks what the types cannot say and finds the place of each fault:
// that of the field, or of the nearest one around it if it is missing.
func (r *reader) validate(s Spec) {
	var faults Faults
	if !errors.As(s.Validate(), &faults) {
		return
	}
	for _, f := range faults {
		at, path := place{}, f.Field
		for at == (place{}) {
			at = r.at[path]
			path = path[:max(0, strings.LastIndexAny(path, ".["))]
		}
		f.File, f.Line, f.Column = r.file, at.line, at.column
		r.faults = append(r.faults, f)
	}
}

// wasmMagic begins every WebAssembly file; two bytes of version and two of
// layer follow: 1 and 0 for a module, 1 for the layer of a component.
var wasmMagic = []byte("\x00asm")

// CheckModule tells from the first eight bytes of a file whether it can be the
// module of a task.
func CheckModule(header []byte) error {
	switch {
	case len(header) < 8 || !bytes.HasPrefix(header, wasmMagic):
		return errors.New("is no WebAssembly module: a module begins with \\0asm; compile the program for wasip1 (GOOS=wasip1 GOARCH=wasm, or clang --target=wasm32-wasi)")
	case header[6] != 0:
		return errors.New("is a WebAssembly component, and components are not run; compile the program as a module for WASI preview 1 (wasip1)")
	case header[4] != 1 || header[5] != 0:
		return fmt.Errorf("is WebAssembly of version %d, and only version 1 is run", int(header[5])<<8|int(header[4]))
	}
	return nil
}
