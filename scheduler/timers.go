package scheduler

import (
	"container/heap"
	"time"
)

// timers remembers what is to be looked at when. Times only ever move earlier
// in an alarm; a look that comes too early finds nothing to do and sets a new
// one. Among equal times the order is that of setting, so that a run repeats.
type timers struct {
	entries []timer
	set     uint64
}

// alarm is embedded in whatever can be looked at.
type alarm struct{ at time.Duration } // 0: not set

type timer struct {
	at    time.Duration
	order uint64
	alarm *alarm
	ring  any // *peer, *unit or *class
}

// at sees to it that ring is looked at no later than at. At most one entry of
// an alarm is live; ones that an earlier time has overtaken are skipped.
func (t *timers) at(at time.Duration, a *alarm, ring any) {
	at = max(at, 1)
	if a.at != 0 && a.at <= at {
		return
	}
	a.at = at
	t.set++
	heap.Push(t, timer{at, t.set, a, ring})
}

// due takes the next that is due at now, or nil.
func (t *timers) due(now time.Duration) any {
	for len(t.entries) > 0 && t.entries[0].at <= now {
		e := heap.Pop(t).(timer)
		if e.alarm.at == e.at {
			e.alarm.at = 0
			return e.ring
		}
	}
	return nil
}

// next is when something is due; 0 if nothing is.
func (t *timers) next() time.Duration {
	for len(t.entries) > 0 {
		if e := t.entries[0]; e.alarm.at == e.at {
			return e.at
		}
		heap.Pop(t)
	}
	return 0
}

func (t *timers) Len() int { return len(t.entries) }
func (t *timers) Less(i, j int) bool {
	a, b := &t.entries[i], &t.entries[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}
func (t *timers) Swap(i, j int) { t.entries[i], t.entries[j] = t.entries[j], t.entries[i] }
func (t *timers) Push(x any)    { t.entries = append(t.entries, x.(timer)) }
func (t *timers) Pop() any {
	last := len(t.entries) - 1
	e := t.entries[last]
	t.entries[last] = timer{}
	t.entries = t.entries[:last]
	return e
}
