package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Bounds of a config file: a long one has a hundred lines. The time that the
// YAML parser takes grows with the square of the entries of a list, and it
// recurses.
const (
	maxConfig      = 256 << 10 // bytes
	maxConfigWords = 5000      // words and marks
	maxConfigDepth = 4         // lists and mappings in one another
	configVersion  = "1"
)

// configFile is a config file as it was read: settings by name, not yet held
// against the flags that they stand for.
type configFile struct {
	path    string
	private bool // only its owner can read it
	entries []configEntry
	faults  job.Faults
}

// configEntry is one setting of a file.
type configEntry struct {
	name string
	key  *token.Token
	node ast.Node
}

// readConfig reads the file at path. Its error is an fs.ErrNotExist if there is
// none; what is wrong with what is in it, err tells.
func readConfig(path string) (*configFile, error) {
	text, mode, err := readConfigText(path)
	if err != nil {
		return nil, err
	}
	f := &configFile{path: path, private: mode.Perm()&0o077 == 0}
	f.parse(text)
	return f, nil
}

func readConfigText(path string) ([]byte, fs.FileMode, error) {
	// Opening a pipe would wait for a writer.
	in, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("read the config file %s: %w", path, cause(err))
	}
	defer in.Close()
	info, err := in.Stat()
	if err == nil && !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("the config file %s is no file but %s: give another with --config", path, fileKind(info.Mode()))
	}
	var text []byte
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(in, maxConfig+1))
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the config file %s: %w", path, cause(err))
	}
	if len(text) > maxConfig {
		return nil, 0, fmt.Errorf("the config file %s has more than %v, which no config needs: is it the right one?", path, job.Bytes(maxConfig))
	}
	return text, info.Mode(), nil
}

func fileKind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	}
	return "a device or socket"
}

// note adds a fault.
func (f *configFile) note(t *token.Token, field, remedy, format string, args ...any) {
	fault := &job.Fault{Field: field, What: fmt.Sprintf(format, args...), Remedy: remedy, File: f.path, Line: 1, Column: 1}
	if t != nil && t.Position != nil {
		fault.Line, fault.Column = max(1, t.Position.Line), max(1, t.Position.Column)
	}
	f.faults = append(f.faults, fault)
}

// err is the faults, in the order of the file.
func (f *configFile) err() error {
	if len(f.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(f.faults, func(a, b *job.Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return f.faults
}

// parse reads the entries of one plain YAML mapping: no anchors and aliases, by
// which a small file could become a large one, no merge keys and no tags.
func (f *configFile) parse(text []byte) {
	// The parser is a third party's: a bug in it ends in an error as others do.
	defer func() {
		if p := recover(); p != nil {
			f.note(nil, "", "", "cannot be read as YAML (%v)", p)
		}
	}()
	tokens := lexer.Tokenize(strings.TrimPrefix(strings.ToValidUTF8(string(text), "\uFFFD"), "\uFEFF"))
	if f.plain(tokens); len(f.faults) > 0 {
		return
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var at yaml.Error
		if errors.As(err, &at) {
			what, _, _ := strings.Cut(at.GetMessage(), "\n")
			f.note(at.GetToken(), "", "", "not YAML: %s", what)
			return
		}
		f.note(nil, "", "", "not YAML: %v", err)
		return
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc == nil || doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType:
		case body != nil:
			f.note(doc.Body.GetToken(), "", "put all settings into the first", "a second document in one config file")
			return
		default:
			body = doc.Body
		}
	}
	if body == nil {
		return // an empty file sets nothing
	}
	m, ok := body.(ast.MapNode)
	if !ok {
		f.note(body.GetToken(), "", "write a setting on each line, such as private: true", "the config file is no mapping of settings")
		return
	}
	f.settings(m)
}

// settings takes the entries of the mapping, each once.
func (f *configFile) settings(m ast.MapNode) {
	first := map[string]int{}
	for it := m.MapRange(); it.Next(); {
		at := it.Key().GetToken()
		key, ok := scalarText(it.Key())
		if before, twice := first[key]; twice {
			f.note(at, key, fmt.Sprintf("it stands in line %d already", before), "is given twice")
			continue
		}
		first[key] = at.Position.Line
		switch {
		case !ok:
			f.note(at, "", "", "a name of a setting that is no text")
		case key == "version":
			if v, ok := scalarText(it.Value()); !ok || v != configVersion {
				f.note(at, key, "upgrade Shoal, or write the settings as `config show` has them", "is %s, and this program knows config files of version %s", clipped(v), configVersion)
			}
		default:
			f.entries = append(f.entries, configEntry{name: key, key: at, node: it.Value()})
		}
	}
}

// plain refuses what settings have no use for, before anything recurses.
func (f *configFile) plain(tokens token.Tokens) {
	if len(tokens) > maxConfigWords {
		f.note(tokens[maxConfigWords], "", "is it the right file?", "more than %d words and marks", maxConfigWords)
		return
	}
	depth, dashes, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType, token.TagType, token.DirectiveType, token.MappingKeyType:
			f.note(t, "", "write the values out", "anchors, aliases, merge keys, tags and directives (%s) are not read in a config file", clipped(t.Value))
			return
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType:
			dashes++
		}
		if depth+dashes > maxConfigDepth {
			f.note(t, "", "", "lists and mappings inside one another more than %d deep", maxConfigDepth)
			return
		}
		if strings.ContainsRune(t.Value, '\uFFFD') {
			f.note(t, "", "save the file as UTF-8", "a character that is not UTF-8")
			return
		}
	}
}

// scalarText is the text of a node that is neither a list nor a mapping, and not
// empty.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// kindOf is what a person would call n.
func kindOf(n ast.Node) string {
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

// clipped is s, short enough for a message.
func clipped(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
