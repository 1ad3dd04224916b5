//go:build wasmer

// Wasm-runner is the child process that runs a WebAssembly program with Wasmer
// (see package child). It is the only part of Shoal that needs cgo: a node
// carries it together with the library, unpacks both, and starts it once for
// each program.
//
// Of the Go package wasmer-go only the library and its headers are used, through
// Wasmer's C interface: its own host functions cost three times as much a call
// and free what is still in use.
//
// build-runner.sh, in the folder above, builds it; the tag wasmer keeps it out
// of builds that have neither the library nor a C compiler.
package main

import "github.com/shoal-mesh/shoal/executor/wasm/child"

func main() { child.Main(engine{}) }
