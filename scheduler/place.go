package scheduler

import (
	"cmp"
	"container/list"
	"maps"
	"slices"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
	"k8s.io/apimachinery/pkg/labels"
)

// engineWASM is the label that a node announces if it can run WebAssembly; its
// value names the engine.
const engineWASM = "wasm"

// classKey is all that decides which peers can take a task. Tasks that agree in
// it are a class: what one of them waits for, all of them wait for, so that a
// change of a peer is held against classes and never against every job.
type classKey struct {
	engine string
	mounts string // names, parted by commas
	where  string
	need   job.Room
}

// class is the open tasks that ask the same of a peer.
type class struct {
	alarm
	key     classKey
	mounts  []string
	where   labels.Selector
	jobs    int           // open ones
	queue   *list.List    // of *unit: those that wait, oldest first
	waiting *list.Element // in Core.waiting while queue is not empty
	avoid   map[job.PeerID]refusal
}

// refusal keeps a peer that declines, or drops what it accepted, from being asked
// again at once: without it, two peers that disagree would fill the log.
type refusal struct {
	until time.Duration
	times int
}

// A refusal lasts for firstRefusal, then for twice as long each time, up to
// firstRefusal << maxRefusals. It begins anew after a quiet forgetRefusal.
const (
	firstRefusal  = 200 * time.Millisecond
	maxRefusals   = 8
	forgetRefusal = time.Minute
	keptRefusals  = 256 // per class, before those that are over are dropped
)

// miss is the first requirement that a peer does not meet.
type miss uint8

const (
	fits miss = iota
	missMount
	missAccept
	missEngine
	missWhere
	missBid
	missCPU
	missMemory
	missDeclined
	missFailed
	misses
)

// tally counts peers by what they miss.
type tally [misses]int

// What an attempt takes besides what its spec asks for. Owner and executor reckon
// alike, so both must know the same amounts.
const (
	// Overhead is the memory of the process around a program: the engine, its
	// compiled code, the runtime. Most take 15 to 60 MiB, much of it shared.
	Overhead = job.Bytes(32 << 20)
	// MinCPU is the least that an attempt is reckoned at, so that jobs that ask
	// for next to nothing cannot start a thousand processes on one node.
	MinCPU = job.CPU(100)
)

// need is the room that an attempt at a task of s takes. It is never nothing.
func need(s job.Spec) job.Room {
	r := s.WithDefaults().Resources
	return job.Room{CPU: max(r.CPU, MinCPU), Memory: r.Memory + Overhead}
}

// join makes an open job one of its class.
func (c *Core) join(key classKey) *class {
	k := c.classes[key]
	if k == nil {
		where, err := labels.Parse(key.where)
		if err != nil {
			where = labels.Nothing() // the ledger is of a version that knew more; nobody here matches
		}
		k = &class{key: key, mounts: split(key.mounts), where: where, queue: list.New(), avoid: map[job.PeerID]refusal{}}
		c.classes[key] = k
	}
	k.jobs++
	return k
}

func (c *Core) leave(k *class) {
	if k.jobs--; k.jobs == 0 {
		delete(c.classes, k.key)
	}
}

// enqueue puts a task in line; one that had its turn before goes to the front.
func (c *Core) enqueue(u *unit) {
	k := u.entry.class
	if u.entry.latest().Tasks[u.task].Attempt > 0 {
		u.place = k.queue.PushFront(u)
	} else {
		u.place = k.queue.PushBack(u)
	}
	if k.waiting == nil {
		k.waiting = c.waiting.PushBack(k)
	}
}

func (c *Core) dequeue(u *unit) {
	if u.place == nil {
		return
	}
	k := u.entry.class
	k.queue.Remove(u.place)
	u.place = nil
	if k.queue.Len() == 0 {
		c.waiting.Remove(k.waiting)
		k.waiting = nil
	}
}

// offer holds a peer that changed against the classes that wait, at most as many
// as given, those first that are due to be looked at.
func (c *Core) offer(p *peer, most int) {
	for range min(most, c.waiting.Len()) {
		at := c.waiting.Front()
		if at == nil {
			return
		}
		k := at.Value.(*class)
		c.waiting.MoveToBack(at)
		if c.misses(k, p) == fits {
			c.drain(k)
		}
	}
}

// drain places tasks of a class until the first that no peer can take.
func (c *Core) drain(k *class) {
	for n := 0; k.queue.Len() > 0; n++ {
		if n == drainLimit {
			c.timers.at(c.now+1, &k.alarm, k)
			return
		}
		u := k.queue.Front().Value.(*unit)
		p, offers, m := c.choose(k, u)
		switch {
		case p != nil:
			c.award(u, p, offers)
		case m[missFailed] > 0 && c.now < u.tryAgain:
			c.dequeue(u) // whoever fits has failed it: others of the class go first
			c.timers.at(u.tryAgain, &u.alarm, u)
		default:
			c.retryRefused(k)
			return
		}
	}
}

// retryRefused sets the alarm for the first of the peers that declined.
func (c *Core) retryRefused(k *class) {
	first := time.Duration(0)
	for _, r := range k.avoid {
		if r.until > c.now && (first == 0 || r.until < first) {
			first = r.until
		}
	}
	if first != 0 {
		c.timers.at(first, &k.alarm, k)
	}
}

// misses says what keeps p from taking a task of the class.
func (c *Core) misses(k *class, p *peer) miss {
	switch free := p.free(); {
	case !p.offersAll(k.mounts):
		return missMount
	case !p.saysItRuns(c.cfg.Self):
		return missAccept
	case p.labels[k.key.engine] == "":
		return missEngine
	case !k.where.Matches(p.labels):
		return missWhere
	case !p.bids(c.now):
		return missBid
	case free.CPU < k.key.need.CPU:
		return missCPU
	case free.Memory < k.key.need.Memory:
		return missMemory
	case k.avoid[p.id].until > c.now:
		return missDeclined
	}
	return fits
}

// slots is how many tasks of the class p has room for.
func slots(free, need job.Room) int64 {
	return min(int64(free.CPU)/int64(need.CPU), int64(free.Memory)/int64(need.Memory), 1<<20)
}

type candidate struct {
	*peer
	slots int64
}

// candidates are the peers that can take u, those that failed it before apart,
// and a count of what keeps each other peer from it.
func (c *Core) candidates(k *class, u *unit) (able, failed []candidate, m tally) {
	tried := u.entry.latest().Tasks[u.task].Tried
	for _, p := range c.roster {
		if !p.seen {
			continue
		}
		what := c.misses(k, p)
		if what == fits {
			found := candidate{p, slots(p.free(), k.key.need)}
			if slices.Contains(tried, p.id) {
				what = missFailed
				failed = append(failed, found)
			} else {
				able = append(able, found)
			}
		}
		m[what]++
	}
	return able, failed, m
}

// choose draws two of all peers that can take u, weighted by their free room,
// and takes the better: better than one draw at spreading load, and unlike
// taking the best it does not send everybody's next job to the same peer. Of two
// equals it takes the one that is not this node, so that owner and executor do
// not die together.
func (c *Core) choose(k *class, u *unit) (*peer, []job.Offer, tally) {
	all, failed, m := c.candidates(k, u)
	if len(all) == 0 && c.now >= u.tryAgain {
		all = failed
	}
	if len(all) == 0 {
		return nil, nil, m
	}
	best := c.draw(all, -1)
	if len(all) > 1 {
		other := c.draw(all, best)
		a, b := all[best], all[other]
		if b.slots > a.slots || b.slots == a.slots && a.id == c.cfg.Self {
			best = other
		}
	}
	return all[best].peer, offers(all, best), m
}

// draw picks an index of all but not, by weight.
func (c *Core) draw(all []candidate, not int) int {
	var sum int64
	for i, a := range all {
		if i != not {
			sum += a.slots
		}
	}
	at := c.rng.Int64N(sum)
	for i, a := range all {
		if i == not {
			continue
		}
		if at -= a.slots; at < 0 {
			return i
		}
	}
	panic("unreachable: the weights add up to sum")
}

// offers are the bids that go on record with the award: the chosen one, then the
// best of the others.
func offers(all []candidate, chosen int) []job.Offer {
	order := slices.Clone(all)
	order[0], order[chosen] = order[chosen], order[0]
	slices.SortStableFunc(order[1:], func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.slots, a.slots), cmp.Compare(a.id, b.id))
	})
	list := make([]job.Offer, 0, maxOffers)
	for _, a := range order[:min(len(order), maxOffers)] {
		list = append(list, job.Offer{Peer: a.id, Free: a.free()})
	}
	return list
}

// award decides that u goes to p. The award leaves when that is committed.
func (c *Core) award(u *unit, p *peer, offers []job.Offer) {
	c.dequeue(u)
	e := u.entry
	a := e.latest().Current(u.task)
	a.Attempt++
	c.attach(&live{attempt: a, unit: u, need: e.class.key.need}, p)
	c.append(e, job.Event{Attempt: a, Kind: job.AwardedTo, Peer: p.id, Offers: offers})
}

// refused notes that p did not take a task of the class, or did not keep it. What
// was under way when it began counts once. A result from p ends it.
func (k *class) refused(p *peer, now time.Duration) {
	r := k.avoid[p.id]
	switch {
	case now < r.until:
		return
	case now >= r.until+forgetRefusal:
		r.times = 0
	}
	r.until = now + firstRefusal<<r.times
	r.times = min(r.times+1, maxRefusals)
	if len(k.avoid) >= keptRefusals {
		maps.DeleteFunc(k.avoid, func(_ job.PeerID, r refusal) bool { return now >= r.until+forgetRefusal })
	}
	k.avoid[p.id] = r
}
