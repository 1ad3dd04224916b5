package cli

import (
	"context"
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/shoal-mesh/shoal/node/api"
)

// barAfter is how long something takes before a bar is shown for it.
const barAfter = 300 * time.Millisecond

// watch has what is fetched with the context that it returns show a bar: bytes,
// rate and time left, on stderr and only on a terminal. done takes it away.
func (p *program) watch(ctx context.Context, what string) (_ context.Context, done func()) {
	if !terminal(p.err) {
		return ctx, func() {}
	}
	b := &bar{name: oneLine(what), began: time.Now(), out: p.err}
	return api.WithProgress(ctx, b.see), b.done
}

// bar is one line that is drawn over again.
type bar struct {
	name  string
	began time.Time
	out   io.Writer
	opts  []mpb.ContainerOption
	all   *mpb.Progress // nil until it is shown
	line  *mpb.Bar
}

// nameWidth is how much is shown of a name, which may be a CID: its end.
const nameWidth = 24

func (b *bar) see(at api.Progress) {
	if b.all == nil {
		if time.Since(b.began) < barAfter || at.Done >= at.Total {
			return
		}
		if r := []rune(b.name); len(r) > nameWidth {
			b.name = "…" + string(r[len(r)-nameWidth+1:])
		}
		b.all = mpb.New(append([]mpb.ContainerOption{mpb.WithOutput(b.out), mpb.WithWidth(24)}, b.opts...)...)
		b.line = b.all.New(at.Total, mpb.BarStyle().Rbound("|").Lbound("|"),
			mpb.PrependDecorators(decor.Name(b.name), decor.CountersKibiByte(" % .1f / % .1f")),
			mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .1f"), decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO), decor.Name(" left")),
		)
		b.line.DecoratorAverageAdjust(b.began)
	}
	b.line.SetTotal(at.Total, false)
	b.line.SetCurrent(at.Done)
}

func (b *bar) done() {
	if b.all == nil {
		return
	}
	b.line.Abort(true)
	b.all.Wait()
}
