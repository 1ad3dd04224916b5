//go:build !embedrunner

package wasm

import "embed"

// embedded says whether this binary carries the runner: build with the tag
// embedrunner for that.
const embedded = false

var embeddedFiles embed.FS

// BuildEngine is the engine that this binary carries.
const BuildEngine = "wazero"
