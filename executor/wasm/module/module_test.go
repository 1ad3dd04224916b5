package module

import (
	"bytes"
	"os"
	"testing"
)

func FuzzLimit(f *testing.F) {
	wasm, err := os.ReadFile("../selftest.wasm")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wasm, uint32(16))
	f.Add(wasm[:40], uint32(0))
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x05\x04\x01\x01\x01\x02"), uint32(1))
	known := func(string, string) bool { return true }
	f.Fuzz(func(t *testing.T, wasm []byte, pages uint32) {
		out, err := Limit(wasm, pages, known)
		if err != nil {
			return
		}
		// What was limited once stays as it is.
		again, err := Limit(out, pages, known)
		if err != nil || !bytes.Equal(out, again) {
			t.Errorf("limiting it again: %v, changed %v", err, !bytes.Equal(out, again))
		}
	})
}

func TestLimitSetsTheMaximum(t *testing.T) {
	wasm, err := os.ReadFile("../selftest.wasm")
	if err != nil {
		t.Fatal(err)
	}
	out, err := Limit(wasm, 300, func(string, string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	// Section 5, 5 bytes: one memory, with a maximum, at least 1, at most 300.
	if want := []byte{5, 5, 1, 1, 1, 0xac, 2}; !bytes.Contains(out, want) {
		t.Errorf("%x is not in %x", want, out)
	}
}
