// Package shoal_test keeps the rules of the repository: who imports whom, what
// every package and example must have. Each rule stands beside its reason.
package shoal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

const module = "github.com/shoal-mesh/shoal"

// ours says what a part of this module may import of this module beside itself.
// The longest folder that leads to a package rules it. A name that ends in /...
// stands for the folder and all that lies in it.
var ours = []struct {
	folder string
	may    []string
	reason string
}{
	{"cli/node", []string{"cli"},
		"main only hands over, so that everything else can be tested as a library"},
	{"cli", []string{"node", "node/api", "node/api/sign", "scheduler/job"},
		"the command line is one client of the API among others; what it needs of a peer, others need too"},
	{"node", []string{"node/api/...", "scheduler/...", "executor/...", "storage/...", "p2p/...", "durable"},
		"the one place where the parts are put together"},
	{"node/api", []string{"node/api/sign", "scheduler/job"},
		"the API speaks of jobs over an interface; a client of it must not link a peer"},
	{"node/api/sign", []string{"durable"},
		"signed requests, of use with any API"},
	{"scheduler", []string{"scheduler/job"},
		"placement is decided on values, so that it can be simulated without network or disk"},
	{"scheduler/job", nil,
		"everybody imports it, so it imports nobody"},
	{"scheduler/ledger", []string{"scheduler/job"},
		"a log of events need not know who appends them"},
	{"executor", []string{"scheduler/job"},
		"running a program needs neither peers nor a ledger; fetching and publishing are handed in"},
	{"storage", []string{"durable"},
		"a store of content, of use without any job"},
	{"p2p", []string{"durable"},
		"peers that find and hear one another, of use without any job"},
	{"durable", nil,
		"files that are written whole; a leaf, as the parts that keep some know nothing of one another"},
	{"examples", nil,
		"what users start from must build without this repository"},
	{"scripts", []string{"node/api", "scheduler/job"},
		"the lab tests the binary, and asks nodes what their users can ask"},
	{"bench", []string{"node/api", "scheduler/job", "executor/...", "p2p", "storage"},
		"figures are taken as a user gets them, of the binary and through the API; of the executor for comparison, and of a store on two hosts, between which a raw stream is measured too"},
}

// outside says who may link what of others, in whichever way.
var outside = []struct {
	prefix string
	may    []string
	reason string
}{
	{"github.com/ipfs/kubo", []string{"storage/...", "node", "cli/...", "bench"},
		"it is two thirds of the binary and of every link; who wants a store is handed one"},
	{"github.com/libp2p/go-libp2p", []string{"p2p/...", "storage/...", "node", "cli/...", "bench"},
		"the scheduler and the executors see peers as names, so that they can be tested without a network"},
	{"github.com/urfave/cli", []string{"cli/..."},
		"flags are for the command line; everything else takes values"},
	{"go.etcd.io/bbolt", []string{"scheduler/ledger", "node", "cli/..."},
		"the ledger is the one thing that is kept in it; Core must not know"},
}

// direct forbids imports of the standard library that would break a promise.
var direct = []struct {
	of     string
	never  []string
	reason string
}{
	{"scheduler/job", []string{"net", "net/http", "os", "os/exec", "sync"},
		"a leaf of values: no I/O, no goroutine, no clock"},
}

type pkg struct {
	ImportPath string
	Name       string
	Dir        string
	Doc        string
	GoFiles    []string
	CgoFiles   []string
	Imports    []string
	Standard   bool
	Module     *struct{ Main bool }
}

// packages lists every package of the module and all that they link, for this
// platform and without tests.
func packages(t *testing.T) map[string]*pkg {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Name,Dir,Doc,GoFiles,CgoFiles,Imports,Standard,Module", "./...")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	all := make(map[string]*pkg)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

// local is a package's path below the module, and whether it is of this module.
func local(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// below reports whether the package or folder p is root or lies in it.
func below(p, root string) bool { return p == root || strings.HasPrefix(p, root+"/") }

// among reports whether p is one of the names, which may end in /...
func among(p string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		root, tree := strings.CutSuffix(n, "/...")
		return p == root || tree && below(p, root)
	})
}

func TestImportsWithinTheModule(t *testing.T) {
	for importPath, p := range packages(t) {
		from, ok := local(importPath)
		if !ok || from == "." {
			continue
		}
		r := ruling(from)
		if r < 0 {
			t.Errorf("%s: no rule says what it may import: add one here, and to the table in ARCHITECTURE.md", from)
			continue
		}
		for _, i := range p.Imports {
			if to, ok := local(i); ok && ruling(to) != r && !among(to, ours[r].may) {
				t.Errorf("%s imports %s; it may import %v only: %s", from, to, ours[r].may, ours[r].reason)
			}
		}
	}
}

// ruling is the index in ours of the rule for package p, -1 if there is none.
func ruling(p string) int {
	found := -1
	for i, r := range ours {
		if below(p, r.folder) && (found < 0 || len(r.folder) > len(ours[found].folder)) {
			found = i
		}
	}
	return found
}

func TestLinksOutsideTheModule(t *testing.T) {
	all := packages(t)
	for importPath := range all {
		from, ok := local(importPath)
		if !ok {
			continue
		}
		for _, r := range outside {
			if among(from, r.may) {
				continue
			}
			if chain := links(all, importPath, r.prefix); chain != nil {
				t.Errorf("%s links %s; only %v may: %s\n\t%s", from, r.prefix, r.may, r.reason, strings.Join(chain, "\n\t→ "))
			}
		}
	}
}

// links is a chain of imports from a package to one below prefix, nil if there
// is none.
func links(all map[string]*pkg, from, prefix string) []string {
	came := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if below(at, prefix) {
			var chain []string
			for ; at != ""; at = came[at] {
				chain = append(chain, at)
			}
			slices.Reverse(chain)
			return chain
		}
		if all[at] == nil {
			continue
		}
		for _, next := range all[at].Imports {
			if _, seen := came[next]; !seen {
				came[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

func TestDirectImports(t *testing.T) {
	all := packages(t)
	for _, r := range direct {
		p := all[module+"/"+r.of]
		if p == nil {
			t.Errorf("%s: there is no such package, yet a rule about it", r.of)
			continue
		}
		for _, i := range p.Imports {
			if slices.Contains(r.never, i) {
				t.Errorf("%s imports %s: %s", r.of, i, r.reason)
			}
		}
	}
}

// Core and what it is made of get time and chance handed in: that is why the same
// seed gives the same trace, and why a simulation of a day takes a second. Only
// scheduler.go, the loop around it, has a clock and goroutines.
func TestCoreIsPure(t *testing.T) {
	files, err := filepath.Glob("scheduler/*.go")
	if err != nil || len(files) < 2 {
		t.Fatalf("no files of the scheduler: %v", err)
	}
	clock := []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "NewTimer", "NewTicker", "Tick"}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || filepath.Base(file) == "scheduler.go" {
			continue
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range tree.Imports {
			if slices.Contains([]string{`"os"`, `"net"`, `"sync"`, `"net/http"`, `"crypto/rand"`, `"go.uber.org/zap"`}, i.Path.Value) {
				t.Errorf("%s imports %s", file, i.Path.Value)
			}
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", set.Position(n.Pos()))
			case *ast.SelectorExpr:
				of, ok := n.X.(*ast.Ident)
				if ok && of.Name == "time" && slices.Contains(clock, n.Sel.Name) {
					t.Errorf("%s uses time.%s", set.Position(n.Pos()), n.Sel.Name)
				}
				if ok && of.Name == "rand" && !slices.Contains([]string{"New", "NewPCG", "NewChaCha8", "Rand", "PCG", "ChaCha8"}, n.Sel.Name) {
					t.Errorf("%s uses rand.%s, which nobody seeds", set.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}

// A package comment is where a reader starts.
func TestEveryPackageHasAComment(t *testing.T) {
	for importPath, p := range packages(t) {
		if from, ok := local(importPath); ok && len(p.GoFiles)+len(p.CgoFiles) > 0 && strings.TrimSpace(p.Doc) == "" {
			t.Errorf("%s has no package comment", from)
		}
	}
}

// A replace is not inherited by those who import this module or `go install` it,
// so it would build here and nowhere else.
func TestNoReplace(t *testing.T) {
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Module  struct{ Path string }
		Replace []any
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if mod.Module.Path != module || len(mod.Replace) != 0 {
		t.Errorf("go.mod: module %s with %d replace directives, want %s with none", mod.Module.Path, len(mod.Replace), module)
	}
}

// Examples are what people copy, so they must pass the checks of a submit, and
// name only what is there.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("examples/*/job.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples/*/job.yaml: %v", err)
	}
	for _, file := range files {
		yaml, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := job.Parse(yaml, file)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		dir := filepath.Dir(file)
		if spec.Name != filepath.Base(dir) {
			t.Errorf("%s: it is called %q; by its folder's name it would be found", file, spec.Name)
		}
		for _, in := range spec.Inputs {
			if _, _, err := job.ParseMount(in.From); err == nil {
				continue // a folder of the node's
			}
			if _, err := os.Stat(filepath.Join(dir, in.From)); err != nil {
				t.Errorf("%s: input %s: %v", file, in.From, err)
			}
		}
		// The module is built, so only its source can be asked for.
		if m := spec.Task.WASM; m == nil || path.Clean(m.Module) != spec.Name+".wasm" {
			t.Errorf("%s: the module should be ./%s.wasm, which make builds", file, spec.Name)
		}
	}
}

// README's job is one of these, shown.
func TestReadmeJob(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```yaml\n")
	yaml, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("README.md shows no job")
	}
	if _, err := job.Parse([]byte(yaml), "README.md"); err != nil {
		t.Error(err)
	}
}

// Data of others travels with what allows it to.
func TestDataHasALicence(t *testing.T) {
	for data, licence := range map[string]string{
		"examples/wordcount/books/opticks.txt": "examples/wordcount/books/README.md",
		"examples/resize/photo.jpg":            "examples/resize/photo.LICENSE",
	} {
		for _, f := range []string{data, licence} {
			if info, err := os.Stat(f); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
}
