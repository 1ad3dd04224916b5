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
			return explain(e.class.key, m)
		}
	}
	return ""
}

// explain says a tally in words. Each peer is counted once, at the first
// requirement that it fails.
func explain(k classKey, m tally) string {
	total := 0
	for _, n := range m {
		total += n
	}
	switch {
	case total == 0:
		return "no peer is known yet"
	case m[fits] > 0:
		return "it is about to be placed"
	}
	var parts []string
	add := func(what miss, text string) {
		if m[what] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", m[what], text))
		}
	}
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
