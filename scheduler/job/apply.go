package job

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"
)

// absent is the state of a job that no event has spoken of yet.
const absent State = 0

// next is the only list of legal moves: from a task's state, by the kind of an
// event, to its new state; zero means that the event is refused. One move
// depends on more than the kind: Finished leads to Failed instead of Done when
// its Result is not OK.
var next = [...][CancelledBy + 1]State{
	absent:    {Submitted: Waiting},
	Waiting:   {AwardedTo: Awarded, GaveUp: Failed, CancelledBy: Cancelled},
	Awarded:   {Started: Running, Lost: Waiting, Finished: Done, GaveUp: Failed, CancelledBy: Cancelled},
	Running:   {Lost: Waiting, Finished: Done, GaveUp: Failed, CancelledBy: Cancelled},
	Done:      {},
	Failed:    {},
	Cancelled: {},
}

// History keeps this many of a job's first events, and this many of its latest:
// the beginning says what was asked, the end what became of it.
const (
	historyFirst  = 8
	historyLatest = 24
)

// ErrRefused is wrapped by every error of Apply.
var ErrRefused = errors.New("event refused")

// Apply changes j by one event of its ledger. An event that is not a legal move,
// or that speaks of an attempt that is not the current one at its executor, is
// refused, and then j is as it was.
func (j *Job) Apply(e Event) error {
	switch {
	case e.Kind < Submitted || e.Kind > CancelledBy:
		return fmt.Errorf("job %s: %w: unknown kind %d", e.Job, ErrRefused, e.Kind)
	case e.Kind == Submitted:
		return j.submit(e)
	case j.ID == "" || j.ID != e.Job:
		return fmt.Errorf("job %s: %w: %s speaks of job %q", e.Job, ErrRefused, e.Kind, j.ID)
	case e.Kind == CancelledBy:
		return j.cancel(e)
	case e.Task < 0 || e.Task >= len(j.Tasks):
		return fmt.Errorf("job %s: %w: it has no task %d", e.Job, ErrRefused, e.Task)
	}
	p := &j.Tasks[e.Task]
	to := next[p.State][e.Kind]
	if to == absent {
		return fmt.Errorf("job %s, task %d: %w: %s, but it is %s", e.Job, e.Task, ErrRefused, e.Kind, p.State)
	}
	if err := p.fence(e); err != nil {
		return fmt.Errorf("job %s, task %d: %w", e.Job, e.Task, err)
	}
	if e.Kind == Finished && !e.Result.OK() {
		to = Failed
	}
	p.apply(e, to)
	j.Reason = reason(e)
	j.remember(e)
	return nil
}

func (j *Job) submit(e Event) error {
	switch {
	case j.ID != "":
		return fmt.Errorf("job %s: %w: it exists already", e.Job, ErrRefused)
	case e.Job == "" || e.Spec == nil:
		return fmt.Errorf("job %q: %w: submitted without an ID or a spec", e.Job, ErrRefused)
	}
	*j = Job{ID: e.Job, Spec: *e.Spec, Submitter: e.Submitter, Submitted: e.At, Submission: e.Submission,
		Tasks: []Progress{{State: next[absent][Submitted]}}}
	j.remember(e)
	return nil
}

// cancel ends every task that has not ended by itself.
func (j *Job) cancel(e Event) error {
	if j.Terminal() {
		return fmt.Errorf("job %s: %w: cancelled, but it is %s", e.Job, ErrRefused, j.State())
	}
	for i := range j.Tasks {
		if p := &j.Tasks[i]; !p.State.Terminal() {
			p.apply(e, next[p.State][CancelledBy])
		}
	}
	j.Reason = e.Reason
	j.remember(e)
	return nil
}

// fence refuses what does not speak of the current attempt: a new award must be
// the next attempt, everything else the current one, at the peer that has it.
func (p *Progress) fence(e Event) error {
	switch {
	case e.Kind == AwardedTo && (e.Attempt.Attempt != p.Attempt+1 || e.Peer == ""):
		return fmt.Errorf("%w: award of attempt %d to %q after attempt %d", ErrRefused, e.Attempt.Attempt, e.Peer, p.Attempt)
	case e.Kind == AwardedTo:
		return nil
	case e.Attempt.Attempt != p.Attempt:
		return fmt.Errorf("%w: %s attempt %d, but attempt %d is current", ErrRefused, e.Kind, e.Attempt.Attempt, p.Attempt)
	case e.Kind != GaveUp && e.Peer != p.Executor:
		return fmt.Errorf("%w: %s at %q, but %q has it", ErrRefused, e.Kind, e.Peer, p.Executor)
	case e.Kind == Finished && e.Result == nil:
		return fmt.Errorf("%w: finished without a result", ErrRefused)
	}
	return nil
}

// apply makes a move that was found legal.
func (p *Progress) apply(e Event, to State) {
	p.State = to
	switch e.Kind {
	case AwardedTo:
		p.Attempt, p.Executor, p.Started = e.Attempt.Attempt, e.Peer, time.Time{}
	case Started:
		p.Started = e.At
	case Lost:
		p.Executor, p.Started = "", time.Time{}
		if e.Blame {
			p.Lost++
			if e.Failed {
				p.Failures++
			}
			if !slices.Contains(p.Tried, e.Peer) {
				p.Tried = append(slices.Clip(p.Tried), e.Peer)
			}
		}
	case Finished:
		p.Result = e.Result
	}
	if to.Terminal() {
		p.Ended = e.At
	}
}

// reason is why a job stands where e put it; empty while all goes well.
func reason(e Event) string {
	switch {
	case e.Kind == Finished && e.Result.Error != "":
		return e.Result.Error
	case e.Kind == Finished && e.Result.Exit != 0:
		return fmt.Sprintf("exit code %d", e.Result.Exit)
	case e.Kind == Lost || e.Kind == GaveUp:
		return e.Reason
	}
	return ""
}

// remember adds e to the bounded history. What the Job itself has is left out.
func (j *Job) remember(e Event) {
	e.Spec, e.Submission = nil, nil
	if len(j.History) == historyFirst+historyLatest {
		j.History = slices.Delete(j.History, historyFirst, historyFirst+1)
	}
	j.History = append(j.History, e)
}

// State is where the job stands as a whole: terminal when every task is, and
// then the worst of them; before that, the furthest that any has come.
func (j *Job) State() State {
	var live, ended State
	for i := range j.Tasks {
		if s := j.Tasks[i].State; s.Terminal() {
			ended = max(ended, s)
		} else {
			live = max(live, s)
		}
	}
	if live != absent {
		return live
	}
	return ended
}

// Terminal reports whether nothing can happen to the job any more.
func (j *Job) Terminal() bool { return j.State().Terminal() }

// Ended is when its last task ended; zero while it has not.
func (j *Job) Ended() time.Time {
	var last time.Time
	if !j.Terminal() {
		return last
	}
	for _, p := range j.Tasks {
		if p.Ended.After(last) {
			last = p.Ended
		}
	}
	return last
}

// Same reports whether the job was made by the submission with this digest. One
// of a ledger that kept none was, for all that is known.
func (j *Job) Same(submission []byte) bool {
	return j.Submission == nil || bytes.Equal(j.Submission, submission)
}

// Current names the current attempt at a task. Its Attempt is 0 if there was none.
func (j *Job) Current(task int) Attempt {
	return Attempt{Job: j.ID, Task: task, Attempt: j.Tasks[task].Attempt}
}

// Clone is a copy that shares only what never changes: the spec's parts, the
// digest, and results and offers of events.
func (j *Job) Clone() Job {
	c := *j
	c.Tasks = slices.Clone(j.Tasks)
	for i := range c.Tasks {
		c.Tasks[i].Tried = slices.Clone(c.Tasks[i].Tried)
	}
	c.History = slices.Clone(j.History)
	return c
}
