package scheduler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
	"go.uber.org/zap"
)

// Log is where events become durable. Append does not wait; what is durable
// comes back through Committed, in the order of Append, and the channel is
// closed when the log can take no more. The ledger package has one for a single
// disk; the seam is made for one that several peers replicate.
type Log interface {
	Replay(see func(job.Event) error) error
	Append(events ...job.Event)
	Committed() <-chan []job.Event
}

// Network carries messages to other peers, best effort. Neither method blocks;
// a message that cannot be sent is dropped.
type Network interface {
	Send(to job.PeerID, frame []byte)
	Publish(b Bid) // to all peers
}

// Runner does the whole of an owner's attempt and returns when nothing is left of
// it; ending ctx kills it. It calls started once, when the program begins. An
// error means that this machine could not run it. Attempts of two owners may have
// the same name, and have nothing else in common.
type Runner interface {
	Run(ctx context.Context, owner job.PeerID, a job.Attempt, spec job.Spec, started func()) (job.Result, error)
}

// Peer is a live peer, as the roster has it.
type Peer struct {
	ID     job.PeerID
	Labels map[string]string // not changed afterwards
	Boot   uint64
}

// ErrStopped is returned to callers when Run has ended.
var ErrStopped = errors.New("the node is stopping")

// Scheduler is the one loop that owns a Core and a Worker. Its methods may be
// called from any goroutine. Those that hand in something from a peer wait while
// the loop is behind, and do nothing once it has ended; Run should be under way
// soon after New.
type Scheduler struct {
	cfg    Config
	log    Log
	net    Network
	runner Runner
	zap    *zap.Logger

	inbox chan any // WorkerInput, Input or func()
	done  chan struct{}
	begin time.Time

	// What follows belongs to the loop.
	core     *Core
	worker   *Worker
	local    []Message // from this node to itself
	calls    map[uint64]chan<- error
	lastCall uint64
	watchers map[job.ID]map[*watcher]bool
	running  map[Charge]context.CancelFunc
	runners  sync.WaitGroup
	failed   error
	coreWake time.Duration
	workWake time.Duration
}

// queued is how many inputs may wait for the loop.
const queued = 1024

// New replays the log and makes a Scheduler of it. It starts nothing.
func New(cfg Config, log Log, net Network, runner Runner, zlog *zap.Logger) (*Scheduler, error) {
	cfg = cfg.withDefaults()
	if cfg.Self == "" || cfg.Boot == 0 || len(cfg.Ledger) != job.LedgerChars {
		return nil, fmt.Errorf("scheduler: Self %q, Boot %d and Ledger %q must be set", cfg.Self, cfg.Boot, cfg.Ledger)
	}
	s := &Scheduler{
		cfg: cfg, log: log, net: net, runner: runner, zap: zlog,
		inbox: make(chan any, queued), done: make(chan struct{}), begin: time.Now(),
		core: NewCore(cfg), worker: NewWorker(cfg),
		calls: map[uint64]chan<- error{}, watchers: map[job.ID]map[*watcher]bool{}, running: map[Charge]context.CancelFunc{},
	}
	if err := log.Replay(s.core.Replay); err != nil {
		return nil, fmt.Errorf("replaying the ledger: %w", err)
	}
	return s, nil
}

// Run drives jobs until ctx ends, and then ends what runs here, tells its owners,
// and returns nil. It returns an error if the log fails.
func (s *Scheduler) Run(ctx context.Context) error {
	// Attempts end after the loop was told to stop, not with ctx, so that their
	// owners hear of it.
	attempts, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	timer := time.NewTimer(0)
	defer timer.Stop()
	s.deliver(Tick{time.Now()}, attempts)
	s.deliver(PeerSeen{ID: s.cfg.Self, Labels: s.cfg.Labels, Boot: s.cfg.Boot}, attempts)
	for s.failed == nil {
		s.setTimer(timer)
		select {
		case <-ctx.Done():
			s.stop(attempts, end)
			return s.failed
		case events, open := <-s.log.Committed():
			if !open && ctx.Err() == nil {
				s.failed = errors.New("the ledger takes no more events")
				break
			}
			if !open {
				s.stop(attempts, end)
				return nil
			}
			s.note(events)
			s.deliver(Committed{events}, attempts)
		case in := <-s.inbox:
			s.deliver(in, attempts)
		case <-timer.C:
			s.deliver(Tick{time.Now()}, attempts)
		}
	}
	s.stop(attempts, end)
	return s.failed
}

// setTimer arms the timer for whichever of Core and Worker wants to be woken
// first, and at least once a minute, so that displayed times follow the clock.
func (s *Scheduler) setTimer(timer *time.Timer) {
	wait := time.Minute
	if at := earliest(s.coreWake, s.workWake); at != 0 {
		wait = min(wait, at-s.now())
	}
	timer.Reset(max(0, wait))
}

func (s *Scheduler) now() time.Duration { return time.Since(s.begin) }

// deliver steps whatever an input concerns, and does what follows, until this
// node has nothing more to say to itself.
func (s *Scheduler) deliver(in any, attempts context.Context) {
	if f, ok := in.(func()); ok {
		f()
		return
	}
	s.step(in, attempts)
	for len(s.local) > 0 && s.failed == nil {
		m := s.local[0]
		s.local = s.local[1:]
		s.step(Received{From: s.cfg.Self, Message: m}, attempts)
	}
}

func (s *Scheduler) step(in any, attempts context.Context) {
	now := s.now()
	toCore, toWorker := true, true
	switch in := in.(type) {
	case Received:
		toWorker = fromOwner(in.Message)
		toCore = !toWorker
	case Exited:
		delete(s.running, in.Charge)
	}
	if w, ok := in.(WorkerInput); ok && toWorker {
		s.doWorker(s.worker.Step(now, w), attempts)
	}
	if c, ok := in.(Input); ok && toCore {
		s.doCore(s.core.Step(now, c))
	}
}

// fromOwner tells messages to a Worker from those to a Core.
func fromOwner(m Message) bool {
	switch m.(type) {
	case Award, Withdraw, Ask, ReportAck:
		return true
	}
	return false
}

func (s *Scheduler) doCore(eff Effects) {
	s.coreWake = eff.Wake
	if eff.Fault != nil {
		s.failed = eff.Fault
		return
	}
	s.log.Append(eff.Append...)
	s.send(eff.Send)
	for _, a := range eff.Answers {
		if reply := s.calls[a.Call]; reply != nil {
			reply <- a.Err // has room for the one answer
			delete(s.calls, a.Call)
		}
	}
	for _, id := range eff.Changed {
		for w := range s.watchers[id] {
			w.touch()
		}
	}
}

func (s *Scheduler) doWorker(eff WorkerEffects, attempts context.Context) {
	s.workWake = eff.Wake
	s.send(eff.Send)
	for _, c := range eff.Kill {
		if kill := s.running[c]; kill != nil {
			kill()
		}
	}
	for _, st := range eff.Start {
		s.start(attempts, st)
	}
	if eff.Publish != nil {
		s.net.Publish(*eff.Publish)
		s.doCore(s.core.Step(s.now(), BidSeen{From: s.cfg.Self, Bid: *eff.Publish}))
	}
}

func (s *Scheduler) send(list []Outgoing) {
	for _, o := range list {
		if o.To == s.cfg.Self {
			s.local = append(s.local, o.Message)
			continue
		}
		frame, err := Encode(o.Message)
		if err != nil {
			s.zap.Error("a message cannot be sent", zap.String("peer", string(o.To)), zap.Error(err))
			continue
		}
		s.net.Send(o.To, frame)
	}
}

// start runs an attempt in a goroutine of its own, which stop waits for.
func (s *Scheduler) start(attempts context.Context, st Start) {
	ctx, kill := context.WithCancel(attempts)
	s.running[st.Charge] = kill
	s.noteHere("attempt begins here", st.Charge)
	s.runners.Go(func() {
		defer kill()
		result, err := s.runner.Run(ctx, st.Owner, st.Attempt, st.Spec, func() { s.inbox <- Ran{st.Charge} })
		exit := Exited{Charge: st.Charge, Result: result}
		if err != nil {
			exit.Failure = err.Error()
			exit.Leaving = attempts.Err() != nil
			s.noteHere("attempt came to nothing here", st.Charge, zap.String("reason", exit.Failure))
		} else {
			s.noteHere("attempt ended here", st.Charge, zap.Int("exit", result.Exit))
		}
		s.inbox <- exit // stop reads on until this goroutine has ended
	})
}

// stop ends everything that runs here and passes on what is still to be said.
func (s *Scheduler) stop(attempts context.Context, end context.CancelFunc) {
	failed := s.failed
	s.failed = nil
	s.deliver(Leave{}, attempts)
	end()
	ended := make(chan struct{})
	go func() {
		s.runners.Wait()
		close(ended)
	}()
	for waiting := true; waiting; {
		select {
		case in := <-s.inbox:
			s.last(in, attempts)
		case <-ended:
			waiting = false
		}
	}
	close(s.done) // from here on nobody new waits for the inbox
	for {
		select {
		case in := <-s.inbox:
			s.last(in, attempts)
			continue
		default:
		}
		break
	}
	for call, reply := range s.calls {
		reply <- ErrStopped
		delete(s.calls, call)
	}
	s.failed = failed
}

// last takes in what comes after the end: only how attempts ended still matters.
func (s *Scheduler) last(in any, attempts context.Context) {
	if exit, ok := in.(Exited); ok {
		s.deliver(exit, attempts)
	}
}

// noteHere writes one line for what this node does for another, whose peer ID is
// in it. What it does for itself, its own ledger tells.
func (s *Scheduler) noteHere(what string, c Charge, more ...zap.Field) {
	if c.Owner != s.cfg.Self {
		s.zap.Info(what, append([]zap.Field{zap.String("job", string(c.Attempt.Job)), zap.Int("attempt", c.Attempt.Attempt), zap.String("peer", string(c.Owner))}, more...)...)
	}
}

// note writes one line for every change of a job.
func (s *Scheduler) note(events []job.Event) {
	for _, ev := range events {
		fields := []zap.Field{zap.String("job", string(ev.Job))}
		if ev.Attempt.Attempt > 0 {
			fields = append(fields, zap.Int("attempt", ev.Attempt.Attempt))
		}
		if ev.Peer != "" {
			fields = append(fields, zap.String("peer", string(ev.Peer)))
		}
		if ev.Reason != "" {
			fields = append(fields, zap.String("reason", ev.Reason))
		}
		if ev.Result != nil {
			fields = append(fields, zap.Int("exit", ev.Result.Exit))
		}
		s.zap.Info("job "+ev.Kind.String(), fields...)
	}
}
