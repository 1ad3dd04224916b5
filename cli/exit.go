package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Exit codes that api.ExitCode does not know of.
const (
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// exitError ends the program with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usage is an error for a command that was not used as it can be.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// failed is an error for something that did not go well.
func failed(format string, args ...any) error {
	return &exitError{1, fmt.Errorf(format, args...)}
}

// cause is err without the system call and the path, for messages that name
// what was being done themselves.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// errInterrupted ends a command that a person interrupted and that has said all
// there is to say about it.
var errInterrupted = &exitError{exitInterrupted, context.Canceled}

// message is err for a person, in one line. Faults of a job file have a line
// each, as compilers print theirs.
func (p *program) message(err error) string {
	var faults job.Faults
	if errors.As(err, &faults) && len(faults) > 1 {
		return err.Error()
	}
	message := p.name + ": " + api.Plain(err.Error())
	if p.asks && api.CodeOf(err) == api.CodeUnreachable && nobody(err) && !errors.Is(err, fs.ErrPermission) {
		message += ". Start it with: " + p.command("serve")
		if p.home == "" {
			message += ". If it runs with another home, name that with --home or SHOAL_HOME"
		}
	}
	return message
}

// exit prints err and returns the exit code for it.
func (p *program) exit(err error) int {
	var (
		own    *exitError
		faults job.Faults
	)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.Is(err, context.Canceled):
		p.say("interrupted")
		return exitInterrupted
	}
	p.say("%s", printable(p.message(err)))
	switch {
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &faults):
		return exitUsage
	}
	var e *api.Error
	if errors.As(err, &e) {
		for _, f := range e.Faults {
			p.say("  %s: %s", printable(f.Where), printable(f.What))
		}
	}
	return api.ExitCode(err)
}
