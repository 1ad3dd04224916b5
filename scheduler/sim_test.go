package scheduler

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// The simulation: Cores and Workers of several peers on one seeded heap of
// events, with a network that loses, delays, repeats, reorders and is cut, and
// peers that crash at any moment, with what their log had not committed. Every
// step is followed by the checks of simcheck_test.go. The same seed gives the
// same trace, so that a failing seed can be run again and looked at.
type world struct {
	t       testing.TB
	seed    uint64
	rng     *rand.Rand
	now     time.Duration
	events  timeline
	order   uint64
	peers   []*simPeer
	byID    map[job.PeerID]*simPeer
	cut     [][2]int // pairs of peers that do not hear one another
	chaos   bool
	gentle  bool // nothing but restarts happens: nobody is to be blamed
	jobs    []*simJob
	trace   []string
	tracing bool
	steps   int
	sent    int
	bugs    bugs
}

// bugs are planted between the world and the code under test, to see that the
// checks find them.
type bugs struct {
	core   func(p *simPeer, in Input) Input
	effect func(p *simPeer, eff *Effects)
	worker func(p *simPeer, in WorkerInput)
}

// simPeer is a machine: what it keeps over a crash, and the process that runs.
type simPeer struct {
	w       *world
	index   int
	id      job.PeerID
	labels  map[string]string
	room    job.Room
	boot    uint64
	born    time.Duration // of the process
	up      bool
	disk    []job.Event         // durable
	truth   map[job.ID]*job.Job // disk, replayed by the checks
	pending [][]job.Event       // appended, not durable
	core    *Core
	worker  *Worker
	runs    map[Charge]bool // programs in this process; false once killed
	started map[Charge]bool // by this process, ever
	coreAt  time.Duration   // ticks that are set
	workAt  time.Duration
}

type simJob struct {
	owner  *simPeer
	spec   job.Spec
	id     job.ID
	acked  bool
	cancel bool
}

type simEvent struct {
	at    time.Duration
	order uint64
	do    func()
}

type timeline []simEvent

func (h timeline) Len() int { return len(h) }
func (h timeline) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}
func (h timeline) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timeline) Push(x any)   { *h = append(*h, x.(simEvent)) }
func (h *timeline) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = simEvent{}
	*h = old[:len(old)-1]
	return e
}

func newWorld(t testing.TB, seed uint64, peers int) *world {
	w := &world{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), byID: map[job.PeerID]*simPeer{}, chaos: true}
	for i := range peers {
		p := &simPeer{w: w, index: i, id: job.PeerID(fmt.Sprintf("peer%03d", i)), truth: map[job.ID]*job.Job{},
			labels: map[string]string{"wasm": "wazero", "zone": fmt.Sprint(i % 3), "index": fmt.Sprint(i)}, room: job.Room{CPU: 4000, Memory: 8 << 30}}
		w.peers = append(w.peers, p)
		w.byID[p.id] = p
	}
	for _, p := range w.peers {
		p.start()
	}
	return w
}

func (w *world) after(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.events, simEvent{w.now + d, w.order, do})
}

// between draws a duration.
func (w *world) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.rng.Int64N(int64(to-from)))
}

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

func (w *world) note(format string, args ...any) {
	if w.tracing {
		w.trace = append(w.trace, fmt.Sprintf("%v ", w.now)+fmt.Sprintf(format, args...))
	}
}

// run lets the world go on until then.
func (w *world) run(until time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(simEvent)
		w.now = e.at
		e.do()
	}
	w.now = until
}

// start begins a new process on what the disk has.
func (p *simPeer) start() {
	p.boot++
	p.up, p.born = true, p.w.now
	cfg := Config{Self: p.id, Boot: p.boot, Ledger: p.ledger(), Labels: p.labels, Room: p.room, Seed: p.w.seed + uint64(p.index)}
	p.core, p.worker = NewCore(cfg), NewWorker(cfg)
	p.runs, p.started = map[Charge]bool{}, map[Charge]bool{}
	p.coreAt, p.workAt = 0, 0
	for _, ev := range p.disk {
		if err := p.core.Replay(ev); err != nil {
			p.w.t.Fatalf("seed %d: replay: %v", p.w.seed, err)
		}
	}
	p.w.checkReplay(p)
	p.w.note("%s starts, boot %d", p.id, p.boot)
	p.both(Tick{At: time.Unix(1e9, 0).Add(p.w.now)})
	for _, o := range p.w.peers {
		if o.up {
			p.both(o.hello())
			if o != p {
				o.both(p.hello())
			}
		}
	}
}

func (p *simPeer) ledger() job.LedgerID { return job.LedgerID(fmt.Sprintf("l%04d", p.index)) }

func (p *simPeer) hello() PeerSeen { return PeerSeen{ID: p.id, Labels: p.labels, Boot: p.boot} }

// crash ends the process. Peers that redial are refused, sooner or never.
func (p *simPeer) crash() {
	p.w.note("%s crashes", p.id)
	p.w.checkReplay(p)
	p.up, p.pending = false, nil
	for _, o := range p.w.peers {
		if o != p && p.w.chance(0.5) {
			boot := p.boot
			p.w.after(p.w.between(0, 3*time.Second), func() {
				if o.up && (!p.up || p.boot == boot) {
					o.both(PeerGone{ID: p.id, Boot: boot, Why: "connection refused"})
					if p.up {
						o.both(p.hello())
					}
				}
			})
		}
	}
}

// leave ends the process as a person does it: what runs is ended and reported,
// what was appended is written, and the others are told, if they hear it.
func (p *simPeer) leave() {
	p.w.note("%s leaves", p.id)
	p.toWorker(Leave{})
	for _, h := range slices.Clone(p.worker.order) { // in an order that repeats
		if h.phase != Ended {
			delete(p.runs, h.Charge)
			p.toWorker(Exited{Charge: h.Charge, Failure: "the node is stopping", Leaving: true})
		}
	}
	p.w.checkReplay(p)
	p.up = false
	for _, group := range p.pending {
		p.w.checkEvents(p, group)
		p.disk = append(p.disk, group...)
	}
	p.pending = nil
	for _, o := range p.w.peers {
		if o != p && (!p.w.chaos || p.w.chance(0.7)) {
			gone := PeerGone{ID: p.id, Boot: p.boot, Why: "it said goodbye", Left: true}
			p.w.after(p.w.between(0, time.Second), func() {
				if o.up {
					o.both(gone)
					if p.up {
						o.both(p.hello())
					}
				}
			})
		}
	}
}

// clock is the process's own monotonic time.
func (p *simPeer) clock() time.Duration { return p.w.now - p.born + 1 }

// both tells Core and Worker.
func (p *simPeer) both(in interface {
	Input
	WorkerInput
}) {
	p.toCore(in)
	p.toWorker(in)
}

func (p *simPeer) toCore(in Input) {
	if f := p.w.bugs.core; f != nil {
		in = f(p, in)
	}
	p.w.steps++
	eff := p.core.Step(p.clock(), in)
	if f := p.w.bugs.effect; f != nil {
		f(p, &eff)
	}
	p.w.checkCore(p, in, eff)
	if len(eff.Append) > 0 {
		p.append(eff.Append)
	}
	p.send(eff.Send)
	for _, a := range eff.Answers {
		p.w.answered(p, a)
	}
	p.tick(eff.Wake, &p.coreAt, func() { p.toCore(Tick{At: time.Unix(1e9, 0).Add(p.w.now)}) })
}

func (p *simPeer) toWorker(in WorkerInput) {
	if f := p.w.bugs.worker; f != nil {
		f(p, in)
	}
	p.w.steps++
	eff := p.worker.Step(p.clock(), in)
	p.send(eff.Send)
	for _, c := range eff.Kill {
		if p.runs[c] {
			p.runs[c] = false
			p.exit(p.w.between(0, 100*time.Millisecond), Exited{Charge: c, Failure: "killed"})
		}
	}
	for _, s := range eff.Start {
		p.w.checkStart(p, s)
		p.program(s)
	}
	p.w.checkWorker(p)
	if b := eff.Publish; b != nil {
		bid := *b
		p.toCore(BidSeen{From: p.id, Bid: bid})
		for _, o := range p.w.peers {
			if o != p {
				p.carry(o, func() { o.toCore(BidSeen{From: p.id, Bid: bid}) })
			}
		}
	}
	p.tick(eff.Wake, &p.workAt, func() { p.toWorker(Tick{}) })
}

// tick sets the timer of this process for a Core or Worker.
func (p *simPeer) tick(wake time.Duration, set *time.Duration, step func()) {
	if wake == 0 || *set != 0 && *set <= wake {
		return
	}
	*set = wake
	boot := p.boot
	p.w.after(max(0, wake-p.clock()), func() {
		if p.up && p.boot == boot && *set == wake {
			*set = 0
			step()
		}
	})
}

// append commits after a while, in order, in groups; a crash before that loses it.
func (p *simPeer) append(events []job.Event) {
	p.pending = append(p.pending, events)
	if len(p.pending) > 1 {
		return
	}
	p.fsync()
}

func (p *simPeer) fsync() {
	boot, n := p.boot, len(p.pending)
	p.w.after(p.w.between(time.Millisecond, 20*time.Millisecond), func() {
		if !p.up || p.boot != boot {
			return
		}
		group := slices.Concat(p.pending[:n]...)
		p.pending = p.pending[n:]
		p.w.checkEvents(p, group)
		p.disk = append(p.disk, group...)
		if len(p.pending) > 0 {
			p.fsync()
		}
		p.toCore(Committed{group})
	})
}

// program runs an attempt: it begins, and ends one way or another.
func (p *simPeer) program(s Start) {
	w := p.w
	p.runs[s.Charge], p.started[s.Charge] = true, true
	boot, begin := p.boot, w.between(time.Millisecond, 200*time.Millisecond)
	w.after(begin, func() {
		if p.up && p.boot == boot && p.runs[s.Charge] {
			p.toWorker(Ran{s.Charge})
		}
	})
	exit := Exited{Charge: s.Charge, Result: job.Result{Outputs: []job.Output{{Name: "by", CID: p.mark(s.Attempt)}}}}
	if s.Spec.Name == "cannot" || w.chaos && w.chance(0.05) {
		exit = Exited{Charge: s.Charge, Failure: "no such block"}
	}
	last := 300 * time.Millisecond
	switch {
	case w.gentle:
		last = 2 * time.Minute // so that restarts find it
	case w.chance(0.5):
		last = 20 * time.Second
	}
	w.after(begin+w.between(time.Millisecond, last), func() {
		switch {
		case !p.up || p.boot != boot || !p.runs[s.Charge]:
		case s.Spec.Name == "poison":
			p.crash()
			w.after(w.between(5*time.Second, 10*time.Second), p.start)
		default:
			p.runs[s.Charge] = false
			p.exit(0, exit)
		}
	})
}

func (p *simPeer) exit(after time.Duration, in Exited) {
	boot := p.boot
	p.w.after(after, func() {
		if p.up && p.boot == boot {
			delete(p.runs, in.Charge)
			p.toWorker(in)
		}
	})
}

// mark is what only this peer, running this attempt, puts out.
func (p *simPeer) mark(a job.Attempt) string { return cidOf(fmt.Sprintf("%v@%s", a, p.id)) }

func (p *simPeer) send(list []Outgoing) {
	for _, m := range list {
		if a, ok := m.Message.(Award); ok { // a spec has pointers in it
			p.w.note("%s → %s Award %v", p.id, m.To, a.Attempt)
		} else {
			p.w.note("%s → %s %T %+v", p.id, m.To, m.Message, m.Message)
		}
		p.w.sent++
		if err := readable(m.Message); err != nil {
			p.w.fail("%s says to %s what it cannot read: %v", p.id, m.To, err)
		}
		to, msg := p.w.byID[m.To], m.Message
		p.carry(to, func() { to.receive(p.id, msg) })
	}
}

func (p *simPeer) receive(from job.PeerID, m Message) {
	if fromOwner(m) {
		p.toWorker(Received{from, m})
	} else {
		p.toCore(Received{from, m})
	}
}

// carry delivers as the network pleases, to the process that is there by then.
func (p *simPeer) carry(to *simPeer, deliver func()) {
	w := p.w
	if to == p {
		w.after(0, func() {
			if p.up {
				deliver()
			}
		})
		return
	}
	copies := 1
	delay := func() time.Duration { return w.between(100*time.Microsecond, 2*time.Millisecond) }
	if w.chaos {
		delay = func() time.Duration {
			if w.chance(0.1) {
				return w.between(0, 3*time.Second)
			}
			return w.between(100*time.Microsecond, 20*time.Millisecond)
		}
		switch {
		case w.chance(0.05):
			copies = 0
		case w.chance(0.05):
			copies = 2
		}
		if slices.Contains(w.cut, [2]int{min(p.index, to.index), max(p.index, to.index)}) {
			copies = 0
		}
	}
	for range copies {
		w.after(delay(), func() {
			if to.up {
				deliver()
			}
		})
	}
}
