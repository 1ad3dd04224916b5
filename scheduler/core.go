package scheduler

import (
	"container/list"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
	"k8s.io/apimachinery/pkg/labels"
)

// Core leads one ledger. It decides against what it has appended, and speaks of
// what is committed: an entry's tail has every event that was appended, its job
// only those that are durable, and all that leaves the Core follows the job.
//
// A Core is a value for one goroutine.
type Core struct {
	cfg     Config
	rng     *rand.Rand
	now     time.Duration
	epoch   time.Time // the time of day at now = 0
	begun   bool      // the first step was made
	woke    time.Duration
	jobs    map[job.ID]*entry
	ids     []job.ID // committed jobs, in the order of their submission
	open    int      // jobs that have not ended, by what is appended
	peers   map[job.PeerID]*peer
	roster  []*peer // of peers, ordered by ID
	classes map[classKey]*class
	waiting *list.List // classes with a task in their queue, the one looked at longest ago first
	timers  timers
	eff     Effects // of the step being made
}

// entry is a job and what is on the way to it.
type entry struct {
	job      job.Job  // what is durable
	tail     *job.Job // with what is appended as well; nil if that is the same
	inflight int      // events appended and not committed
	class    *class   // nil once the job has ended
	units    []unit
	submits  []uint64 // callers waiting for Submitted
	cancels  []uint64 // callers waiting for the end
}

// unit is what a Core has in mind of a task that has not ended.
type unit struct {
	alarm
	entry    *entry
	task     int
	place    *list.Element // in the queue of its class, while it waits there
	live     *live         // its current attempt
	tryAgain time.Duration // when peers that failed it may have it again
}

// latest is the job with everything that was appended.
func (e *entry) latest() *job.Job {
	if e.tail != nil {
		return e.tail
	}
	return &e.job
}

// Errors that end a call.
var (
	ErrNotFound = errors.New("no such job")
	ErrEnded    = errors.New("the job has ended")
	ErrConflict = errors.New("this job ID is taken by another submission; submit the job with a new nonce")
	ErrBusy     = errors.New("too much is going on here; try again later, or submit to another peer")
	ErrSpec     = errors.New("this job cannot be placed")
)

// NewCore makes a Core whose ledger is empty so far; see Replay.
func NewCore(cfg Config) *Core {
	cfg = cfg.withDefaults()
	return &Core{
		cfg:     cfg,
		rng:     rand.New(rand.NewPCG(cfg.Seed, cfg.Boot)),
		jobs:    map[job.ID]*entry{},
		peers:   map[job.PeerID]*peer{},
		classes: map[classKey]*class{},
		waiting: list.New(),
	}
}

// Replay takes in an event that was committed before this Core began. All of
// them come before the first Step, in order.
func (c *Core) Replay(ev job.Event) error {
	e := c.jobs[ev.Job]
	if e == nil {
		e = &entry{}
	}
	if err := e.job.Apply(ev); err != nil {
		return err
	}
	if ev.Kind == job.Submitted {
		c.jobs[ev.Job] = e
		c.ids = append(c.ids, ev.Job)
	}
	return nil
}

// Step takes in one input. now never goes backwards. What Effects holds belongs
// to the caller.
func (c *Core) Step(now time.Duration, in Input) Effects {
	c.now = max(c.now, now)
	if t, ok := in.(Tick); ok {
		c.epoch = t.At.Add(-c.now)
	}
	if !c.begun {
		c.begun = true
		c.adopt()
	}
	c.forgive()
	switch in := in.(type) {
	case Submit:
		c.submit(in)
	case Cancel:
		c.cancel(in)
	case Committed:
		for _, ev := range in.Events {
			c.committed(ev)
		}
	case PeerSeen:
		c.peerSeen(in)
	case PeerGone:
		c.peerGone(in)
	case BidSeen:
		c.bid(in.From, in.Bid)
	case Received:
		c.received(in.From, in.Message)
	}
	for due := c.timers.due(c.now); due != nil; due = c.timers.due(c.now) {
		c.look(due)
	}
	eff := c.eff
	c.eff = Effects{}
	eff.Wake = c.timers.next()
	c.woke = eff.Wake
	return eff
}

// look does what an alarm was set for.
func (c *Core) look(due any) {
	switch v := due.(type) {
	case *peer:
		c.check(v)
	case *class:
		if v.queue.Len() > 0 {
			c.drain(v)
		}
	case *unit:
		c.revisit(v)
	}
}

func (c *Core) submit(in Submit) {
	e := c.jobs[in.ID]
	switch {
	case e != nil && !e.latest().Same(in.Submission):
		c.answer(in.Call, in.ID, ErrConflict)
		return
	case e != nil && e.job.ID != "":
		c.answer(in.Call, in.ID, nil)
		return
	case e != nil && len(e.submits) >= maxCallers, e == nil && c.open >= c.cfg.MaxOpen:
		c.answer(in.Call, in.ID, ErrBusy)
		return
	case e != nil:
		e.submits = append(e.submits, in.Call)
		return
	}
	k, err := newClassKey(in.Spec)
	if err != nil {
		c.answer(in.Call, in.ID, fmt.Errorf("%w: %w", ErrSpec, err))
		return
	}
	e = &entry{submits: []uint64{in.Call}}
	c.jobs[in.ID] = e
	c.append(e, job.Event{Attempt: job.Attempt{Job: in.ID}, Kind: job.Submitted, Spec: &in.Spec, Submitter: c.cfg.Self, Submission: in.Submission})
	if c.eff.Fault != nil {
		return
	}
	c.openUnits(e, k)
	for i := range e.units {
		c.enqueue(&e.units[i])
	}
	c.drain(e.class)
}

// openUnits gives a job that has not ended what is needed to drive it.
func (c *Core) openUnits(e *entry, k classKey) {
	c.open++
	e.class = c.join(k)
	e.units = make([]unit, len(e.latest().Tasks))
	for i := range e.units {
		e.units[i] = unit{entry: e, task: i}
	}
}

func (c *Core) cancel(in Cancel) {
	e := c.jobs[in.ID]
	switch {
	case e == nil || e.job.ID == "":
		c.answer(in.Call, in.ID, ErrNotFound)
	case e.job.Terminal():
		c.answer(in.Call, in.ID, ErrEnded)
	case len(e.cancels) >= maxCallers:
		c.answer(in.Call, in.ID, ErrBusy)
	default:
		e.cancels = append(e.cancels, in.Call)
		if !e.latest().Terminal() {
			c.append(e, job.Event{Attempt: job.Attempt{Job: in.ID}, Kind: job.CancelledBy, Reason: in.Reason})
		}
	}
}

func (c *Core) answer(call uint64, id job.ID, err error) {
	c.eff.Answers = append(c.eff.Answers, Answer{Call: call, ID: id, Err: err})
}

// append decides: from here on the event counts for what this Core decides next,
// and once it is committed for what it says. Every event goes through here, so
// this is where the words of others are made fit for the log.
func (c *Core) append(e *entry, ev job.Event) {
	if ev.At.IsZero() {
		ev.At = c.wall()
	}
	ev.Reason = clean(ev.Reason)
	if ev.Result != nil {
		ev.Result.Error = clean(ev.Result.Error)
	}
	if e.tail == nil {
		t := e.job.Clone()
		e.tail = &t
	}
	if err := e.tail.Apply(ev); err != nil {
		c.eff.Fault = fmt.Errorf("deciding about a job: %w", err)
		return
	}
	e.inflight++
	c.eff.Append = append(c.eff.Append, ev)
	if e.class != nil && e.tail.Terminal() {
		c.close(e)
	}
}

// close lets go of what a job needed until its end.
func (c *Core) close(e *entry) {
	for i := range e.units {
		u := &e.units[i]
		c.dequeue(u)
		c.detach(u)
	}
	e.units = nil
	c.leave(e.class)
	e.class = nil
	c.open--
}

// committed makes an event count, and says what follows from it.
func (c *Core) committed(ev job.Event) {
	e := c.jobs[ev.Job]
	if e == nil {
		c.eff.Fault = fmt.Errorf("the log committed %s of job %s, which was not appended", ev.Kind, ev.Job)
		return
	}
	if err := e.job.Apply(ev); err != nil {
		c.eff.Fault = fmt.Errorf("the log committed what does not follow: %w", err)
		return
	}
	if e.inflight--; e.inflight == 0 {
		e.tail = nil
	}
	if n := len(c.eff.Changed); n == 0 || c.eff.Changed[n-1] != ev.Job {
		c.eff.Changed = append(c.eff.Changed, ev.Job)
	}
	switch ev.Kind {
	case job.Submitted:
		c.ids = append(c.ids, ev.Job)
		for _, call := range e.submits {
			c.answer(call, ev.Job, nil)
		}
		e.submits = nil
	case job.AwardedTo:
		c.awarded(e, ev)
	case job.Finished:
		c.send(ev.Peer, ReportAck{ev.Attempt})
	case job.Lost:
		c.send(ev.Peer, Withdraw{ev.Attempt})
	case job.CancelledBy:
		for i, p := range e.job.Tasks {
			if p.State == job.Cancelled && p.Executor != "" {
				c.send(p.Executor, Withdraw{e.job.Current(i)})
			}
		}
	}
	if e.job.Terminal() {
		for _, call := range e.cancels {
			c.answer(call, ev.Job, cancelled(&e.job))
		}
		e.cancels = nil
	}
}

// cancelled is what a caller of Cancel is told about a job that has ended.
func cancelled(j *job.Job) error {
	if j.State() == job.Cancelled {
		return nil
	}
	return ErrEnded
}

func (c *Core) send(to job.PeerID, m Message) {
	c.eff.Send = append(c.eff.Send, Outgoing{To: to, Message: m})
}

// wall is the time of day, as exact as people care for.
func (c *Core) wall() time.Time { return c.epoch.Add(c.now).UTC().Truncate(time.Millisecond) }

// Job is a copy of what is durable of a job. While it waits, Reason says what for.
func (c *Core) Job(id job.ID) (job.Job, bool) {
	e := c.jobs[id]
	if e == nil || e.job.ID == "" {
		return job.Job{}, false
	}
	j := e.job.Clone()
	if e.latest().State() == job.Waiting && j.State() == job.Waiting {
		j.Reason = c.Explain(id)
	}
	return j, true
}

// IDs are the jobs of this ledger, in the order of their submission. The list is
// not changed later, only extended.
func (c *Core) IDs() []job.ID { return slices.Clip(c.ids) }

// newClassKey says what a spec asks of a peer.
func newClassKey(s job.Spec) (classKey, error) {
	switch {
	case s.Task.WASM == nil:
		return classKey{}, errors.New("it names no program")
	case !needOK(s):
		return classKey{}, errors.New("it asks for an impossible amount of cpu or memory")
	}
	if _, err := labels.Parse(s.Where); err != nil {
		return classKey{}, fmt.Errorf("where: %w", err)
	}
	return classKey{engine: engineWASM, mounts: strings.Join(s.Mounts(), ","), where: s.Where, need: need(s)}, nil
}
