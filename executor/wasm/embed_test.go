//go:build embedrunner

package wasm

import (
	"strings"
	"testing"
)

// What the binary carries unpacks and works, from an empty folder and again.
func TestEmbeddedRunner(t *testing.T) {
	x := open(t, Config{})
	for range 2 {
		if err := x.SelfTest(t.Context()); err != nil || !strings.HasPrefix(x.Engine(), "wasmer ") {
			t.Fatalf("got %v with %s", err, x.Engine())
		}
		x = reopen(t, x.cfg)
	}
}
