//go:build race

package wasm

// raced says whether this is under the race detector.
const raced = true
