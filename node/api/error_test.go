package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"
)

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{Errorf(CodeJobFailed, "exit code 3"), 1},
		{Errorf(CodeInternal, "oops"), 1},
		{Errorf(CodeInvalid, "unknown field"), 2},
		{fmt.Errorf("job.yaml: %w", Errorf(CodeInvalid, "unknown field")), 2},
		{Errorf(CodeNotFound, "no such job"), 1},
		{Errorf(CodeTokenMalformed, "no token"), 2},
		{Errorf(CodeTokenExpired, "too old"), 2},
		{Errorf(CodeTokenForeign, "another swarm's"), 2},
		{Errorf(CodeUnreachable, "nobody there"), 3},
		{Errorf(CodeUnavailable, "not ready"), 3},
		{Errorf(CodeTimeout, "too long"), 4},
		{fmt.Errorf("waiting: %w", context.DeadlineExceeded), 4},
		{Errorf(CodeUnreachable, "dialing: %w", context.DeadlineExceeded), 3},
		{context.Canceled, 1},
		{&Error{Code: "of a later version"}, 1},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%v: got %d, want %d", c.err, got, c.want)
		}
	}
}

// What libraries say over several lines, or of contexts, is put for a person.
func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"job k7q2  failed": "job k7q2  failed",
		"failed to dial: all dials failed\n  * [/ip4/10.0.0.7] refused\n\n  * [/ip4/10.0.0.8] refused": "failed to dial: all dials failed; [/ip4/10.0.0.7] refused; [/ip4/10.0.0.8] refused",
		"ask peer XVgk2y8Q: context deadline exceeded":                                                 "ask peer XVgk2y8Q: it took too long",
		"fetch: context canceled": "fetch: it was called off",
	} {
		if got := Plain(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := asError(fmt.Errorf("ask: %w", context.DeadlineExceeded)); got.Message != "ask: it took too long" || got.Code != CodeTimeout {
		t.Errorf("got %+v", got)
	}
}

func TestErrorfKeepsTheCause(t *testing.T) {
	err := fmt.Errorf("submitting: %w", Errorf(CodeConflict, "home is taken: %w", fs.ErrExist))
	if CodeOf(err) != CodeConflict || !errors.Is(err, fs.ErrExist) {
		t.Errorf("lost in %v", err)
	}
	if got := asError(err); got.Message != "submitting: home is taken: file already exists" {
		t.Errorf("got %q", got.Message)
	}
}

// Every code has a status and survives the way through a problem.
func TestCodesRoundTrip(t *testing.T) {
	for code, c := range codes {
		if c.status < 400 || c.exit == exitDone {
			t.Errorf("%s: status %d, exit code %d", code, c.status, c.exit)
		}
		got := readProblem([]byte(trailer(newProblem(Errorf(code, "é\n\"quoted\"")))))
		if got == nil || got.Code != code || got.Message != "é\n\"quoted\"" {
			t.Errorf("%s: got %+v", code, got)
		}
	}
}

// A peer's words cannot write over the terminal of who reads them.
func TestReadProblemIsBoundedAndPrintable(t *testing.T) {
	p := newProblem(Errorf(CodeInternal, "%s", "\x1b[2Jgone\r"+strings.Repeat("ä", maxMessage)))
	for range 2 * maxFaults {
		p.Errors = append(p.Errors, Fault{Where: "x\x07", What: "y"})
	}
	e := readProblem(mustJSON(t, p))
	if !strings.HasPrefix(e.Message, "[2Jgone") || strings.ContainsAny(e.Message, "\x1b\r") || len(e.Message) > maxMessage+len("…") {
		t.Errorf("got %.40q… of %d bytes", e.Message, len(e.Message))
	}
	if len(e.Faults) != maxFaults || e.Faults[0].Where != "x" {
		t.Errorf("got %d faults, the first %+v", len(e.Faults), e.Faults[0])
	}
	for _, bad := range []string{"", "{}", "<html>", `{"detail":"x","code":"made_up"}`, `{"code":"invalid"}`} {
		if e := readProblem([]byte(bad)); e != nil {
			t.Errorf("%s: got %+v", bad, e)
		}
	}
}

func TestLongTrailerIsCut(t *testing.T) {
	s := trailer(newProblem(Errorf(CodeInternal, "%s", strings.Repeat("é", maxTrailer))))
	if e := readProblem([]byte(s)); e == nil || len(s) > maxTrailer+300 {
		t.Errorf("%d bytes, %v", len(s), e)
	}
}

func TestRetryAfterIsRoundedUp(t *testing.T) {
	e := Errorf(CodeRateLimited, "slow down")
	e.RetryAfter = 1200 * time.Millisecond
	if got := newProblem(e).GetHeaders().Get("Retry-After"); got != "2" {
		t.Errorf("got %s", got)
	}
}
