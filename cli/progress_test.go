package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/vbauerster/mpb/v8"

	"github.com/shoal-mesh/shoal/node/api"
)

func TestBarSaysHowFarAndHowLong(t *testing.T) {
	var out bytes.Buffer
	refresh := make(chan any)
	b := &bar{name: strings.Repeat("n", 100) + "-end", began: time.Now().Add(-2 * time.Second), out: &out,
		opts: []mpb.ContainerOption{mpb.WithManualRefresh(refresh), mpb.WithWidth(120)}}
	b.see(api.Progress{Total: 64 << 20, Done: 16 << 20})
	b.see(api.Progress{Total: 64 << 20, Done: 32 << 20})
	refresh <- time.Now()
	b.done()
	for _, want := range []string{"n-end", "32.0 MiB / 64.0 MiB", "MiB/s", "left"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it shows %q, which lacks %q", &out, want)
		}
	}
}

// What is soon done is not worth a bar, nor is what ends before its first byte.
func TestNoBarForWhatIsQuick(t *testing.T) {
	var out bytes.Buffer
	b := &bar{name: "quick", began: time.Now(), out: &out}
	b.see(api.Progress{Total: 10, Done: 1})
	b.see(api.Progress{Total: 10, Done: 10})
	b.done()
	if out.Len() > 0 {
		t.Errorf("it shows %q", &out)
	}
}

// Only a terminal gets a bar: scripts read stderr too.
func TestNoBarWithoutATerminal(t *testing.T) {
	p := &program{err: new(bytes.Buffer)}
	ctx, done := p.watch(context.Background(), "x")
	defer done()
	if api.ProgressOf(ctx) != nil {
		t.Error("progress is asked for, and nobody looks")
	}
}
