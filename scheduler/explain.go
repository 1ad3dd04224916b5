package scheduler

import (
	"fmt"
	"strings"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Explain says why a job waits: how many peers fail which requirement. It is
// empty for a job that does not wait.
func (c *Core) Explain(id job.ID) string {
	e := c.jobs[id]
	if e == nil || e.class == nil {
		return ""
	}
	for i := range e.units {
		if u := &e.units[i]; u.live == nil {
			_, _, m := c.candidates(e.class, u)
			return explain(e.class, m, c.cfg.Self)
		}
	}
	return ""
}

// explain says a tally in words. Each peer is counted once, at the first
// requirement that it fails. self is this node.
func explain(of *class, m tally, self job.PeerID) string {
	k := of.key
	total := 0
	for _, n := range m {
		total += n
	}
	switch {
	case total == 0:
		return "no peer is known yet"
	case m[fits] > 0:
		return "it is about to be placed"
	case m[missMount] == total:
		return fmt.Sprintf("no peer offers %s; a node that has the data offers it with serve --mount NAME=PATH", mountWords(of.mounts))
	}
	var parts []string
	add := func(what miss, text string) {
		if m[what] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", m[what], text))
		}
	}
	add(missMount, "not offering "+mountWords(of.mounts))
	add(missAccept, fmt.Sprintf("not running jobs of this node (serve --accept-from %s there would change that)", self))
	add(missEngine, "cannot run "+k.engine)
	add(missWhere, "not matching where: "+k.where)
	add(missBid, "without a current bid")
	add(missCPU, fmt.Sprintf("with too little free cpu (it needs %v)", k.need.CPU))
	add(missMemory, fmt.Sprintf("with too little free memory (it needs %v, %v of them for the engine)", k.need.Memory, Overhead))
	add(missDeclined, "declined or dropped it, to be asked again soon")
	add(missFailed, "failed it before, to be tried again soon")
	peers := "peers"
	if total == 1 {
		peers = "peer"
	}
	return fmt.Sprintf("no peer can take it now; of %d %s: %s", total, peers, strings.Join(parts, ", "))
}
