package scheduler

import "github.com/shoal-mesh/shoal/scheduler/job"

// fence remembers the highest attempt of each task that was here, for as many
// tasks as it has entries, so that an award that was delayed or repeated on its
// way does not run again what has ended.
type fence struct {
	highest map[fenced]int
	ring    []fenced // in the order of their first appearance
	next    int
}

type fenced struct {
	owner job.PeerID // one owner cannot keep out another's attempts
	job   job.ID
	task  int
}

func newFence(entries int) fence {
	return fence{highest: map[fenced]int{}, ring: make([]fenced, entries)}
}

// admits reports whether a is later than all that was here of its task.
func (f *fence) admits(owner job.PeerID, a job.Attempt) bool {
	return a.Attempt > f.highest[fenced{owner, a.Job, a.Task}]
}

// raise keeps out a and what was before it.
func (f *fence) raise(owner job.PeerID, a job.Attempt) {
	key := fenced{owner, a.Job, a.Task}
	if before, known := f.highest[key]; known {
		f.highest[key] = max(before, a.Attempt)
		return
	}
	delete(f.highest, f.ring[f.next])
	f.ring[f.next] = key
	f.next = (f.next + 1) % len(f.ring)
	f.highest[key] = a.Attempt
}
