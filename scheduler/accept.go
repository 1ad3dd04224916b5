package scheduler

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Whose jobs a node runs, and from which of its folders, is said twice. Its
// labels tell owners, so that they do not ask in vain; a label is believed for
// no more than that. The Worker looks at what its own node was started with.

// saysItRuns reports whether p says that it runs the jobs of owner.
func (p *peer) saysItRuns(owner job.PeerID) bool {
	_, listed := p.labels[job.AcceptsLabel]
	return p.id == owner || !listed || p.labels[job.AcceptsPrefix+string(owner)] != ""
}

// accepts reports whether this node runs the jobs of owner.
func (w *Worker) accepts(owner job.PeerID) bool {
	return !w.cfg.Listed || owner == w.cfg.Self || slices.Contains(w.cfg.Accept, owner)
}

// raise raises the fence for an owner whose jobs run here. There is room for so
// many, and strangers must not push others out.
func (w *Worker) raise(owner job.PeerID, a job.Attempt) {
	if w.accepts(owner) {
		w.fence.raise(owner, a)
	}
}

func (p *peer) offersAll(mounts []string) bool { return offersAll(p.labels, mounts) }

// offersAll reports whether a peer with these labels offers every mount.
func offersAll(labels map[string]string, mounts []string) bool {
	return !slices.ContainsFunc(mounts, func(name string) bool { return labels[job.MountPrefix+name] == "" })
}

// mountWords is a list of mounts in a sentence.
func mountWords(names []string) string {
	if len(names) == 1 {
		return "the mount " + names[0]
	}
	const most = 5
	more := ""
	if n := len(names) - most; n > 0 {
		names, more = names[:most], fmt.Sprintf(" and %d more", n)
	}
	return "all of the mounts " + strings.Join(names, ", ") + more
}

// split is strings.Split of a list that may be empty.
func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
