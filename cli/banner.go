package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/shoal-mesh/shoal/node"
)

// banner says what the node that has just become ready offers, what it does
// not and why, and what to do next. A join token is a secret for as long as it is
// good: it is shown where a person reads it or asked for it, and not to a log.
func (p *program) banner(o node.Offer, token bool) {
	swarm := "an open swarm"
	switch {
	case o.ID.Private:
		swarm = "the private swarm " + o.ID.Swarm
	case onLoopback(o.ID.Addrs):
		swarm = "a swarm of one, on loopback"
	}
	fmt.Fprintf(p.out, "Shoal %s is ready: a node of %s.\n", o.ID.Version, swarm)

	w := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "  peer\t%s\n", o.ID.Peer)
	fmt.Fprintf(w, "  offers\tcpu %v, memory %s; %s\n", o.Room.CPU, o.Room.Memory.Rough(), offers(o.Engines))
	for _, m := range o.Missing {
		fmt.Fprintf(w, "  without\t%s\n", oneLine(m))
	}
	if len(o.Labels) > 0 {
		fmt.Fprintf(w, "  labels\t%s\n", oneLine(pairs(o.Labels)))
	}
	fmt.Fprintf(w, "  API\t%s\n", o.API)
	w.Flush()

	switch {
	case o.Join != nil && token:
		fmt.Fprintf(p.out, "\nThe next machine joins with this line, which is good for %v:\n", span(time.Until(o.Join.Expires).Round(time.Minute)))
		p.line(o.Join.Line)
	case o.Join != nil:
		fmt.Fprintf(p.out, "\nThe next machine joins with a line that this prints:\n")
		p.line(p.command("token", "create"))
	default:
		fmt.Fprintf(p.out, "\nNow, in another terminal:\n")
		p.line(p.command("submit", "examples/wordcount/job.yaml", "--follow"))
	}
}

// line prints a command under the name that this program was called by, and
// under its other one.
func (p *program) line(command string) {
	command = p.renamed(command)
	other := "shoal"
	if p.name == "shoal" {
		other = "node"
	}
	fmt.Fprintf(p.out, "  %s\n  (or %s …)\n", command, other)
}

// renamed is a command that the node wrote, with the name that this program was
// called by. Variables may stand before the name.
func (p *program) renamed(command string) string {
	words := strings.Split(command, " ")
	for i, w := range words {
		if w == "node" || w == "shoal" {
			words[i] = p.name
			break
		}
	}
	return strings.Join(words, " ")
}

func offers(engines []string) string {
	if len(engines) == 0 {
		return "it runs no jobs"
	}
	return strings.Join(engines, ", ")
}

func onLoopback(addrs []string) bool {
	for _, a := range addrs {
		if !strings.HasPrefix(a, "/ip4/127.") && !strings.HasPrefix(a, "/ip6/::1/") {
			return false
		}
	}
	return true
}
