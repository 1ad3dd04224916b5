// Package scheduler places jobs on peers and sees them through to their end,
// and runs the executor's side of the same conversation.
//
// The protocol is two pure values. Core leads one ledger: it decides who runs
// which task, and takes in what became of it. Worker holds the attempts that
// other peers' Cores, and this node's own, have awarded to this node. Both have
// a single method, Step(now, input) → effects, and neither knows a clock, a
// goroutine, a network or a disk: the same inputs give the same effects, which
// is what the simulation in sim_test.go relies on.
//
//	submit ─► Core ── Submitted, AwardedTo ─► Log ─ committed ─► Core ── Award ─► Worker ─► Runner
//	                                                              ▲                  │
//	          Core ◄─ committed ── Log ◄── Finished ── Core ◄── Report ◄─────────────┘
//
// Scheduler is the one loop: it owns a Core and a Worker, feeds them what comes
// from callers, peers, the log and the runner, and does what their effects say.
//
// What to rely on:
//   - A job that Submit has returned is on disk. It runs at least once, and at
//     most one result of each task is ever committed.
//   - Nothing is said before the event that it speaks of is durable: an award
//     leaves, a caller is answered and a report is acknowledged after the commit.
//   - A result counts only if it is of the current attempt, from the peer that
//     has it, and nothing ended the task before. The first committed end wins.
//   - What may be a job's own fault counts against it, what people do to their
//     machines does not, and a job that has had its share is given up; blame.go
//     says which is which.
//   - Whatever a program, a peer or a person says, events and messages can be
//     read by whoever gets them: text is cleaned where it comes in, reports are
//     read back before they are sent, and events before they are written.
//   - An executor keeps the attempts of different owners apart, by the owner's
//     peer ID, whatever they are called.
//
// What not to assume: that messages arrive, arrive once or in order. Every
// message is repeated until it is answered or void, and means the same twice.
// Times of day in events are for people; nothing is decided by them.
package scheduler
