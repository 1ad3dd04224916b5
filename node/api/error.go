package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Code is the kind of an error: what a program decides by, where a person reads
// the message. Codes are part of the API and never change their meaning.
type Code string

// The codes.
const (
	CodeInvalid        Code = "invalid"         // the request or the spec is wrong
	CodeNotFound       Code = "not_found"       // there is no such job, pin or page
	CodeAmbiguous      Code = "ambiguous"       // a prefix fits more than one
	CodeConflict       Code = "conflict"        // it cannot be done in the state things are in
	CodeNoSuchCID      Code = "no_such_cid"     // no peer that can be reached has the data
	CodeTokenExpired   Code = "token_expired"   // the token or join code was good once
	CodeTokenForeign   Code = "token_foreign"   // the token is another swarm's
	CodeTokenMalformed Code = "token_malformed" // it is no token or join code, or a damaged one
	CodeForbidden      Code = "forbidden"       // the caller may not do that
	CodeUnauthorized   Code = "unauthorized"    // the request is not signed, or not by whom it says
	CodeStaleNonce     Code = "stale_nonce"     // the signature was good once; sign again, with a new nonce
	CodeTooLarge       Code = "too_large"       // a message is over its limit
	CodeRateLimited    Code = "rate_limited"    // too many requests; see RetryAfter
	CodeUnavailable    Code = "unavailable"     // the node is there and cannot do it now
	CodeUnreachable    Code = "unreachable"     // nobody answers
	CodeNotShoal       Code = "not_shoal"       // somebody answers who is no node
	CodeNoRoom         Code = "no_room"         // the store or its disk is full
	CodeTimeout        Code = "timeout"         // it took longer than it was given
	CodeJobFailed      Code = "job_failed"      // the job ended, and not well
	CodeInternal       Code = "internal"        // the node is at fault
)

// codes maps each code to its HTTP status and to the exit code of a command
// that it ends. It is the only such table.
var codes = map[Code]struct{ status, exit int }{
	CodeInvalid:        {http.StatusUnprocessableEntity, exitUsage},
	CodeNotFound:       {http.StatusNotFound, exitFailed},
	CodeAmbiguous:      {http.StatusConflict, exitUsage},
	CodeConflict:       {http.StatusConflict, exitFailed},
	CodeNoSuchCID:      {http.StatusNotFound, exitFailed},
	CodeTokenExpired:   {http.StatusForbidden, exitUsage},
	CodeTokenForeign:   {http.StatusForbidden, exitUsage},
	CodeTokenMalformed: {http.StatusBadRequest, exitUsage},
	CodeForbidden:      {http.StatusForbidden, exitFailed},
	CodeUnauthorized:   {http.StatusUnauthorized, exitFailed},
	CodeStaleNonce:     {http.StatusUnauthorized, exitFailed},
	CodeTooLarge:       {http.StatusRequestEntityTooLarge, exitUsage},
	CodeRateLimited:    {http.StatusTooManyRequests, exitFailed},
	CodeUnavailable:    {http.StatusServiceUnavailable, exitUnreachable},
	CodeUnreachable:    {http.StatusBadGateway, exitUnreachable},
	CodeNotShoal:       {http.StatusBadGateway, exitUnreachable},
	CodeNoRoom:         {http.StatusInsufficientStorage, exitFailed},
	CodeTimeout:        {http.StatusGatewayTimeout, exitTimeout},
	CodeJobFailed:      {http.StatusInternalServerError, exitFailed},
	CodeInternal:       {http.StatusInternalServerError, exitFailed},
}

// Exit codes of the commands.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitTimeout     = 4
)

// Error is an error for a person to read and a program to act on. Message says
// what happened, to what, and what to do next, in whole sentences or the start
// of one.
type Error struct {
	Code       Code
	Message    string
	Faults     []Fault       // the places in the request that are wrong, if that is it
	RetryAfter time.Duration // how long to wait before the next try; 0 if unknown
	Err        error         // the cause, for errors.Is and As; it is not sent

	answered bool // see Answered
}

// Fault is one thing that is wrong with a request.
type Fault struct {
	Where string `json:"location,omitempty" doc:"The place in the request, for example body.spec.task."`
	What  string `json:"message" doc:"What is wrong with it."`
}

func (e *Error) Error() string { return e.Message }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error; %w names its cause, as with fmt.Errorf.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// Answered reports whether a Client was told err by the node that it asked. Else
// the client found it out for itself: for instance, that the node is not there.
func Answered(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.answered
}

// Plain is a message for a person: in one line, where libraries write lists of
// causes, and without what Go calls a context that ended.
func Plain(message string) string {
	var lines []string
	for l := range strings.Lines(message) {
		if l = strings.TrimPrefix(strings.TrimSpace(l), "* "); l != "" {
			lines = append(lines, l)
		}
	}
	return plainWords.Replace(strings.Join(lines, "; "))
}

var plainWords = strings.NewReplacer(
	context.Canceled.Error(), "it was called off",
	context.DeadlineExceeded.Error(), "it took too long",
)

// CodeOf is the code of err: that of the first Error in it, CodeTimeout for a
// deadline that passed, CodeUnavailable for work that was called off, and
// CodeInternal for everything else. Of nil it is empty.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.DeadlineExceeded):
		return CodeTimeout
	case errors.Is(err, context.Canceled):
		return CodeUnavailable
	}
	return CodeInternal
}

// ExitCode is the exit code of a command that ends with err: 0 done, 1 the job
// failed (or something else did), 2 wrong use, a bad spec or a bad token, 3 the
// node cannot be reached, 4 timed out waiting.
func ExitCode(err error) int {
	var e *Error
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &e):
		if c, ok := codes[e.Code]; ok {
			return c.exit
		}
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	}
	return exitFailed
}

// asError is err as an Error whose message has everything that was wrapped
// around it on the way.
func asError(err error) *Error {
	out := &Error{Code: CodeOf(err), Message: Plain(err.Error()), Err: err}
	var e *Error
	if errors.As(err, &e) {
		out.Faults, out.RetryAfter = e.Faults, e.RetryAfter
	}
	return out
}
