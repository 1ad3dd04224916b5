// Command bench measures what README.md's users will feel: how soon a node is
// up, how soon three of them know one another, what a job costs beside its
// program, how many jobs a small swarm takes in one go, and how fast content comes
// from peers. It starts the built binary as its users do, on loopback, talks to it
// through the API's client, and prints one Markdown table with the machine above
// it. It needs no network. For fetches it holds the peers itself, as a plain
// stream between the same two hosts stands beside them.
//
//	make bench
//
// Absolute figures are those of one machine on one day. Where something can be
// compared with its floor, both are measured in the same run, in turns, and the
// ratio stands beside them: compare those.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/shoal-mesh/shoal/executor/wasm"
)

// options are the flags of a run.
type options struct {
	binary  string
	module  string
	record  string        // Markdown file whose results are replaced
	only    string        // name of the one measurement to make; empty: all
	runs    int           // of everything that is measured by its median
	starts  int           // of processes, which take longer
	burst   int           // jobs in one go
	fetches int           // of 256 MiB, to take the median of
	gib     int           // size of one large file; 0 leaves it out
	idle    time.Duration // before memory is read
}

func main() {
	wasm.MaybeChild()
	var o options
	flag.StringVar(&o.binary, "node", "bin/node", "the binary to measure")
	flag.StringVar(&o.module, "module", "examples/tiny/tiny.wasm", "the WebAssembly program of the jobs")
	flag.StringVar(&o.record, "record", "", "also write the results into this Markdown file, between its marks")
	flag.StringVar(&o.only, "only", "", "make one measurement alone, such as join")
	flag.IntVar(&o.runs, "runs", 50, "jobs to take the median of")
	flag.IntVar(&o.starts, "starts", 10, "starts of a process to take the median of")
	flag.IntVar(&o.burst, "burst", 100, "jobs to submit in one go")
	flag.IntVar(&o.fetches, "fetches", 7, "fetches of 256 MiB to take the median of")
	flag.IntVar(&o.gib, "large", 0, "also fetch one file of this many GiB between two node processes, and look at their memory; takes three times as much on the disk")
	flag.DurationVar(&o.idle, "idle", 10*time.Second, "time to let a node rest before its memory is read")
	flag.Parse()
	if flag.NArg() > 0 || o.runs < 1 || o.starts < 1 || o.burst < 1 || o.fetches < 1 || o.gib < 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	before := load()
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer func() {
		if e := b.close(); err == nil {
			err = e
		}
	}()
	var r report
	for _, measure := range []struct {
		what string
		do   func(context.Context, *report) error
	}{
		{"start", b.start},
		{"memory", b.memory},
		{"join", b.join},
		{"jobs", b.jobs},
		{"fetch", b.fetch},
		{"large", b.large},
	} {
		if o.only != "" && o.only != measure.what {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s…\n", measure.what)
		if err := measure.do(ctx, &r); err != nil {
			return fmt.Errorf("%s: %w", measure.what, err)
		}
	}
	if len(r.rows) == 0 {
		return fmt.Errorf("-only %s: there is no such measurement", o.only)
	}
	text := machine(ctx, o.binary, before) + "\n" + r.markdown()
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	if o.record != "" {
		return record(o.record, text)
	}
	return nil
}
