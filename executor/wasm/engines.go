package wasm

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/shoal-mesh/shoal/executor/wasm/child"
	"github.com/shoal-mesh/shoal/executor/wasm/wazeroengine"
)

const (
	childName   = "shoal-wasm" // what a child is called in ps
	childMarker = "SHOAL_WASM_CHILD"

	runnerFile  = "wasm-runner"
	libraryFile = "libwasmer.so"

	// wasmerVersion is that of the library in wasmer-go v1.0.4; every child says
	// what it really is.
	wasmerVersion = "2.0.0"
)

// MaybeChild runs a WebAssembly program and ends the process if this process
// was started for that; otherwise it does nothing. The main of every program
// that uses this package, and TestMain of its tests, must call it first.
func MaybeChild() {
	if os.Getenv(childMarker) == "1" && len(os.Args) == 1 && os.Args[0] == childName {
		child.Main(wazeroengine.Engine{})
	}
}

// wazero runs in this same program, started again.
func wazero() engine {
	name := wazeroengine.Engine{}.Name()
	return engine{
		name:     name,
		path:     "/proc/self/exe", // right even if the file has been replaced since
		env:      []string{childMarker + "=1", "GOMAXPROCS=2", raceDetector()},
		identity: name,
	}
}

// raceDetector hands down how Go's race detector is set: in a program that was
// built with it, each process sleeps for a second before it ends, unless it is
// told not to. In others it means nothing.
func raceDetector() string { return "GORACE=" + os.Getenv("GORACE") }

// wasmer runs in the runner of a folder.
func wasmer(dir string) (engine, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return engine{}, err
	}
	e := engine{
		name:     "wasmer " + wasmerVersion,
		path:     filepath.Join(dir, runnerFile),
		env:      []string{"GOMAXPROCS=2"},
		artifact: true,
	}
	for _, name := range []string{runnerFile, libraryFile} {
		sum, err := sumFile(filepath.Join(dir, name))
		if err != nil {
			return engine{}, err
		}
		e.identity += sum
	}
	return e, nil
}

// sumFile is the SHA-256 of a file, in hex.
func sumFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
