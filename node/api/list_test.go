package api

import (
	"strings"
	"testing"
)

// The first elements of a list arrive before the last are known: neither side
// waits for all of it, or has all of it in memory.
func TestListIsSentAsItComes(t *testing.T) {
	seen := make(chan struct{}, 1)
	f := &fake{rest: func() { <-seen }}
	for range 1000 {
		f.pins = append(f.pins, Pin{CID: "bafypin", Name: strings.Repeat("x", 100)})
	}
	c, _ := localServer(t, f)
	n := 0
	if err := c.Pins(t.Context(), "", func(Pin) error {
		if n++; n == 1 {
			seen <- struct{}{}
		}
		return nil
	}); err != nil || n != 1000 {
		t.Errorf("%d elements, %v", n, err)
	}
}
