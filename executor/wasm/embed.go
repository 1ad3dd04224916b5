//go:build embedrunner

package wasm

import "embed"

// embedded says whether this binary carries the runner. build-runner.sh makes
// the files.
const embedded = true

//go:embed embedded/wasm-runner.gz embedded/libwasmer.so.gz embedded/SHA256SUMS
var embeddedFiles embed.FS

// BuildEngine is the engine that this binary carries.
const BuildEngine = "wasmer"
