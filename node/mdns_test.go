package node

import (
	"strings"
	"testing"
)

// A node that the local network is to find is not alone, and so it does not hide
// on loopback.
func TestMDNSListensEverywhere(t *testing.T) {
	for _, found := range []bool{false, true} {
		e := entry{Config: Config{Home: t.TempDir(), MDNS: found}}
		e.home = &home{dir: e.Home}
		m, err := e.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cfg := e.withDefaults(m.alone())
		if hides := strings.HasPrefix(cfg.Listen[0], "/ip4/127."); hides == found || strings.HasPrefix(cfg.API, "127.") != hides {
			t.Errorf("with MDNS %v it listens at %s and %s", found, cfg.Listen, cfg.API)
		}
	}
}
