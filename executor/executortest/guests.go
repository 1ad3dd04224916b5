package executortest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Guests compiles programs to WebAssembly, each once per process. The zero
// value is ready; Remove belongs at the end of TestMain.
type Guests struct {
	mu    sync.Mutex
	dir   string
	built map[string]string
}

// Go is the path of a Go program's module; dir is its folder.
func (g *Guests) Go(t testing.TB, dir string) string {
	t.Helper()
	return g.build(t, dir, func(out string) *exec.Cmd {
		cmd := exec.Command("go", "build", "-o", out, ".")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
		return cmd
	})
}

// C is the path of a C program's module; file is its source. It fails the test
// where the compiler is missing. It links without the compiler's own run-time
// library, which Debian packages apart and small programs do not need.
func (g *Guests) C(t testing.TB, file string) string {
	t.Helper()
	for _, tool := range []string{"clang", "wasm-ld"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing, which compiles C to WebAssembly; on Debian and Ubuntu: apt-get install clang lld wasi-libc", tool)
		}
	}
	return g.build(t, file, func(out string) *exec.Cmd {
		return exec.Command("clang", "--target=wasm32-wasi", "-O2", "-Wl,-s", "-nodefaultlibs", "-o", out, file, "-lc")
	})
}

func (g *Guests) build(t testing.TB, source string, command func(out string) *exec.Cmd) string {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if path := g.built[source]; path != "" {
		return path
	}
	if g.dir == "" {
		dir, err := os.MkdirTemp("", "shoal-guests-")
		if err != nil {
			t.Fatal(err)
		}
		g.dir, g.built = dir, map[string]string{}
	}
	name := strings.TrimSuffix(filepath.Base(source), ".c") + ".wasm"
	out := filepath.Join(g.dir, name)
	if b, err := command(out).CombinedOutput(); err != nil {
		t.Fatalf("compiling %s: %v\n%s", source, err, b)
	}
	g.built[source] = out
	return out
}

// Remove deletes what was built.
func (g *Guests) Remove() { os.RemoveAll(g.dir) }
