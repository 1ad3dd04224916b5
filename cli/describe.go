package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

func (p *program) describe() *cli.Command {
	return &cli.Command{
		Name:        "describe",
		Usage:       "say everything about a job",
		ArgsUsage:   "JOB",
		Description: p.examples("Where it runs and why there, what it reads and wrote, what it used, and what happened to it. The first letters of an ID are enough.", `node describe "$(node submit examples/wordcount/job.yaml --wait)"`),
		Flags:       []cli.Flag{formatFlag(), p.homeFlag()},
		Action: p.asking(1, 1, func(c *cli.Context, as string, client *api.Client) error {
			j, err := client.Job(c.Context, c.Args().First())
			if err != nil {
				return err
			}
			if as == "json" || as == "yaml" {
				return p.data(as, j)
			}
			return describeJob(p.out, j)
		}),
	}
}

// describeJob prints a job in sections, each with columns of its own.
func describeJob(out io.Writer, j job.Job) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	describeHead(w, j)
	describeTask(w, j.Spec)
	for i, t := range j.Tasks {
		describeRun(w, j, i, t)
	}
	title(w, "History")
	for _, e := range j.History {
		row(w, "  "+moment(e.At), e.Kind, happened(e))
	}
	return w.Flush()
}

// title begins a section. Its line has no cell, which ends the columns before.
func title(w io.Writer, name string) { fmt.Fprintf(w, "\n%s\n", name) }

func describeHead(w io.Writer, j job.Job) {
	row(w, "Job", j.ID)
	if j.Spec.Name != "" {
		row(w, "Name", j.Spec.Name)
	}
	row(w, "State", j.State())
	if j.Reason != "" {
		row(w, "Reason", j.Reason)
	}
	row(w, "Submitted", fmt.Sprintf("%s (%s ago) to peer %s", moment(j.Submitted), age(j.Submitted), j.Submitter.Short()))
	if end := j.Ended(); !end.IsZero() {
		row(w, "Ended", fmt.Sprintf("%s, after %s", moment(end), took(j.Submitted, end)))
	}
	row(w, "Copies", "of its ledger 1, of its results 1")
}

func describeTask(w io.Writer, spec job.Spec) {
	title(w, "Task")
	if spec.Task.WASM != nil {
		row(w, "  WebAssembly", spec.Task.WASM.Module)
	}
	if len(spec.Task.Args) > 0 {
		var quoted []string
		for _, a := range spec.Task.Args {
			quoted = append(quoted, shellQuote(a))
		}
		row(w, "  arguments", strings.Join(quoted, " "))
	}
	if len(spec.Task.Env) > 0 {
		row(w, "  environment", pairs(spec.Task.Env))
	}
	row(w, "  at most", fmt.Sprintf("cpu %v, memory %v, %v", spec.Resources.CPU, spec.Resources.Memory, spec.Timeout))
	if spec.Where != "" {
		row(w, "  where", spec.Where)
	}
	for _, in := range spec.Inputs {
		row(w, "  input", in.From, "at "+in.At)
	}
	for _, out := range spec.Outputs {
		row(w, "  output", out.Name, "at "+out.At)
	}
}

// describeRun prints the current attempt at a task: who bid, who won, and what
// came out.
func describeRun(w io.Writer, j job.Job, task int, t job.Progress) {
	if t.Attempt == 0 {
		return
	}
	title(w, fmt.Sprintf("Attempt %d", t.Attempt))
	row(w, "  peer", t.Executor)
	if !t.Started.IsZero() {
		row(w, "  started", moment(t.Started))
	}
	if len(t.Tried) > 0 {
		var tried []string
		for _, p := range t.Tried {
			tried = append(tried, p.Short())
		}
		row(w, "  lost before", strings.Join(tried, ", "))
	}
	if r := t.Result; r != nil {
		row(w, "  exit code", r.Exit)
		if r.Error != "" {
			row(w, "  error", r.Error)
		}
		row(w, "  used", fmt.Sprintf("cpu %s, time %s, memory %s at its peak", span(r.Usage.CPU), span(r.Usage.Wall), r.Usage.Memory.Rough()))
	}
	describeBids(w, j, task, t)
	if t.Result != nil && len(t.Result.Outputs) > 0 {
		title(w, "Outputs")
		for _, o := range t.Result.Outputs {
			row(w, "  "+o.Name, "ipfs://"+o.CID, o.Size.Rough())
		}
	}
}

// describeBids prints the bids that were considered for the current attempt.
func describeBids(w io.Writer, j job.Job, task int, t job.Progress) {
	for _, e := range j.History {
		if e.Kind != job.AwardedTo || e.Task != task || e.Attempt.Attempt != t.Attempt || len(e.Offers) == 0 {
			continue
		}
		title(w, "Bids considered")
		row(w, "  PEER", "FREE CPU", "FREE MEMORY", "AWARD")
		for _, o := range e.Offers {
			won := ""
			if o.Peer == e.Peer {
				won = "won"
			}
			row(w, "  "+o.Peer.Short(), o.Free.CPU, o.Free.Memory.Rough(), won)
		}
	}
}

// happened is what an event says beside its kind.
func happened(e job.Event) string {
	var parts []string
	if e.Attempt.Attempt > 0 {
		parts = append(parts, fmt.Sprintf("attempt %d", e.Attempt.Attempt))
	}
	switch {
	case e.Peer != "":
		parts = append(parts, "peer "+e.Peer.Short())
	case e.Submitter != "":
		parts = append(parts, "to peer "+e.Submitter.Short())
	}
	if e.Result != nil {
		parts = append(parts, fmt.Sprintf("exit code %d", e.Result.Exit))
	}
	if e.Reason != "" {
		parts = append(parts, e.Reason)
	}
	return strings.Join(parts, ", ")
}
