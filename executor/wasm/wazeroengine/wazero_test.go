package wazeroengine

import (
	"os"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	mod, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mod), "github.com/tetratelabs/wazero v"+Version+"\n") {
		t.Errorf("go.mod has another version of wazero than %s: bring Version up to date", Version)
	}
}
