// Child is a node as far as its wazero children go, and no more. Tests under the
// race detector start it instead of themselves: compiling a Go program with the
// detector watching takes half a minute.
package main

import "github.com/shoal-mesh/shoal/executor/wasm"

func main() { wasm.MaybeChild() }
