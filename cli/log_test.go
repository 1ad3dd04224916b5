package cli

import (
	"bytes"
	"encoding/json"
	"log"
	"os"
	"os/exec"
	"strings"
	"testing"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"
	"go.uber.org/zap/zapcore"
)

// TestLibrariesAreRouted has the libraries' loggers speak in a process of its
// own, because they are the process's.
func TestLibrariesAreRouted(t *testing.T) {
	if os.Getenv("SHOAL_TEST_SPEAKS") != "" {
		speak()
		return
	}
	for _, tc := range []struct {
		env          string
		says, doesnt []string
	}{
		{"", []string{"kubo error", "libp2p error", "std line", "own info"}, []string{"kubo warn", "libp2p warn", "own debug"}},
		{"warn", []string{"kubo error", "kubo warn", "libp2p error", "libp2p warn"}, []string{"own debug"}},
	} {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLibrariesAreRouted$")
		c.Env = append(os.Environ(), "SHOAL_TEST_SPEAKS=1", "GOLOG_LOG_LEVEL="+tc.env, "GOLOG_LOG_FMT=color")
		var errs bytes.Buffer
		c.Stderr = &errs
		if err := c.Run(); err != nil {
			t.Fatal(err, errs.String())
		}
		said := map[string]bool{}
		for line := range strings.Lines(errs.String()) {
			var l struct{ Msg string }
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("with GOLOG_LOG_LEVEL=%q a line is no JSON: %q", tc.env, line)
			}
			said[l.Msg] = true
		}
		for _, w := range tc.says {
			if !said[w] {
				t.Errorf("with GOLOG_LOG_LEVEL=%q nobody hears %q:\n%s", tc.env, w, errs.String())
			}
		}
		for _, w := range tc.doesnt {
			if said[w] {
				t.Errorf("with GOLOG_LOG_LEVEL=%q one hears %q", tc.env, w)
			}
		}
	}
}

// speak has every logger say something, to a stderr that is no terminal.
func speak() {
	old := golog.Logger("shoal-test-old") // made before anything is routed
	p := &program{err: os.Stderr, process: true}
	own, err := p.logger(logging{level: zapcore.InfoLevel, encoder: jsonEncoder()})
	if err != nil {
		panic(err)
	}
	old.Error("kubo error")
	golog.Logger("shoal-test").Warn("kubo warn")
	gologshim.Logger("shoal-test-2").Error("libp2p error")
	gologshim.Logger("shoal-test-3").Warn("libp2p warn")
	log.Print("std line")
	own.Info("own info")
	own.Debug("own debug")
}
