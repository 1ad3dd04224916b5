// Package wazeroengine runs modules with wazero, a WebAssembly engine in plain
// Go: it needs no library and no C compiler, and runs where Wasmer does not.
package wazeroengine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/shoal-mesh/shoal/executor/wasm/child"
	"github.com/shoal-mesh/shoal/executor/wasm/module"
	"github.com/shoal-mesh/shoal/executor/wasm/wasi"
)

// Version is the one in go.mod.
const Version = "1.12.0"

// Engine is wazero.
type Engine struct{}

// Name is wazero's, with its version.
func (Engine) Name() string { return "wazero " + Version }

// Compile leaves the compiled code in c.Dir, in wazero's own layout.
func (Engine) Compile(c child.Code) error {
	ctx := experimental.WithCompilationWorkers(context.Background(), runtime.GOMAXPROCS(0))
	r, _, err := load(ctx, c)
	if err != nil {
		return err
	}
	return r.Close(ctx)
}

// Run runs the program.
func (Engine) Run(c child.Code, sys *wasi.System) error {
	ctx := experimental.WithMemoryAllocator(context.Background(), experimental.MemoryAllocatorFunc(reserve))
	r, code, err := load(ctx, c)
	if err != nil {
		return err
	}
	if err := provide(ctx, r, code, sys); err != nil {
		return err
	}
	m, err := r.InstantiateModule(ctx, code, wazero.NewModuleConfig().WithStartFunctions().WithName(""))
	if err != nil {
		return instantiating(err)
	}
	if _, err := m.ExportedFunction("_start").Call(ctx); err != nil {
		return child.Trap{Reason: firstLine(err)}
	}
	return nil
}

// load compiles the module, or finds it compiled in c.Dir.
func load(ctx context.Context, c child.Code) (wazero.Runtime, wazero.CompiledModule, error) {
	wasm, err := io.ReadAll(c.File)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the module: %w", err)
	}
	if wasm, err = module.Limit(wasm, c.Pages, wasi.Known); err != nil {
		return nil, nil, child.BadModule{Reason: err.Error()}
	}
	cache, err := wazero.NewCompilationCacheWithDir(c.Dir)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the folder of compiled code: %w", err)
	}
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache).WithMemoryLimitPages(c.Pages))
	code, err := r.CompileModule(ctx, wasm)
	var files *os.PathError
	if errors.As(err, &files) {
		return nil, nil, fmt.Errorf("keeping the compiled code: %w", err)
	}
	if err != nil {
		return nil, nil, child.BadModule{Reason: "the module is no valid WebAssembly for this engine (wazero): " + firstLine(err)}
	}
	return r, code, nil
}

// provide offers those functions of sys that the program imports.
func provide(ctx context.Context, r wazero.Runtime, code wazero.CompiledModule, sys *wasi.System) error {
	wanted := map[string]bool{}
	for _, f := range code.ImportedFunctions() {
		_, name, _ := f.Import()
		wanted[name] = true
	}
	b := r.NewHostModuleBuilder(wasi.Namespace)
	for i, f := range wasi.Functions {
		if !wanted[f.Name] {
			continue
		}
		// Every function has a parameter or a result, so the stack has an entry.
		call := func(_ context.Context, m api.Module, stack []uint64) {
			stack[0] = uint64(sys.Call(i, memoryOf(m), stack))
		}
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(call), types(f.Params), results(f)).Export(f.Name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("offering WASI to the program: %w", err)
	}
	return nil
}

func memoryOf(m api.Module) []byte {
	mem := m.Memory()
	if mem == nil {
		return nil
	}
	b, _ := mem.Read(0, mem.Size())
	return b
}

func types(params string) []api.ValueType {
	list := make([]api.ValueType, len(params))
	for i, p := range params {
		if list[i] = api.ValueTypeI32; p == 'I' {
			list[i] = api.ValueTypeI64
		}
	}
	return list
}

func results(f wasi.Function) []api.ValueType {
	if !f.Result {
		return nil
	}
	return []api.ValueType{api.ValueTypeI32}
}

// instantiating tells a program that trapped in its start function from a
// module that does not fit.
func instantiating(err error) error {
	if s := err.Error(); strings.Contains(s, "wasm error:") {
		return child.Trap{Reason: firstLine(err)}
	}
	return child.BadModule{Reason: "the module cannot be started: " + firstLine(err)}
}

// firstLine is an error without the program's call stack.
func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	if _, after, ok := strings.Cut(s, "wasm error: "); ok {
		s = after
	}
	return strings.TrimSuffix(s, " (recovered by wazero)")
}
