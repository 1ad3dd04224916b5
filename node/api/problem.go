package api

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

const problemType = "application/problem+json"

// Bounds on what a problem carries, in characters and pieces: it may come from
// a peer that means ill, and it ends on somebody's terminal.
const (
	maxMessage = 4096
	maxFaults  = 32
)

// problem is an Error on the wire: an RFC 9457 problem of type about:blank. It
// is also the error that handlers return, because huma writes an error that
// knows its status and content type as it is.
type problem struct {
	Title  string  `json:"title" doc:"The HTTP status in words."`
	Status int     `json:"status" doc:"The HTTP status."`
	Detail string  `json:"detail" doc:"What happened, to what, and what to do next."`
	Code   Code    `json:"code" doc:"The kind of error, for programs. Codes never change their meaning."`
	Errors []Fault `json:"errors,omitempty" doc:"The places in the request that are wrong."`
	wait   time.Duration
}

func (p *problem) Error() string             { return p.Detail }
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) ContentType(string) string { return problemType }

// GetHeaders adds Retry-After, in whole seconds, where it is known.
func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.wait.Seconds()))))
	}
	return h
}

func newProblem(e *Error) *problem {
	c, ok := codes[e.Code]
	if !ok {
		c = codes[CodeInternal]
	}
	return &problem{
		Title: http.StatusText(c.status), Status: c.status, Detail: e.Message,
		Code: e.Code, Errors: e.Faults, wait: e.RetryAfter,
	}
}

// as is p with another status than its code has elsewhere.
func (p *problem) as(status int) *problem {
	p.Status, p.Title = status, http.StatusText(status)
	return p
}

// writeProblem sends p from where huma does not reach.
func writeProblem(w http.ResponseWriter, p *problem) {
	for k, v := range p.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	// A caller who is gone does not miss it.
	_ = json.NewEncoder(w).Encode(p)
}

// fromHuma gives huma's own errors (mostly: the request does not fit the
// schema) the form of ours. It is a response transformer because huma's other
// hook, huma.NewError, is a variable of the whole process, and a node is a
// library that may share its process with another user of huma.
func fromHuma(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := &problem{Title: http.StatusText(m.Status), Status: m.Status, Detail: m.Detail, Code: codeOfStatus(m.Status)}
	for _, e := range m.Errors {
		p.Errors = append(p.Errors, Fault{Where: e.Location, What: e.Message})
	}
	if len(p.Errors) > 0 {
		p.Detail = "the request is wrong: " + spell(p.Errors)
	}
	return p, nil
}

// spell puts the first faults into one line.
func spell(faults []Fault) string {
	const most = 3
	var parts []string
	for i, f := range faults {
		if i == most {
			parts = append(parts, "and "+strconv.Itoa(len(faults)-most)+" more")
			break
		}
		s := f.What
		if f.Where != "" {
			s = f.Where + ": " + s
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

// codeOfStatus is the code of an error that huma made.
func codeOfStatus(status int) Code {
	switch status {
	case http.StatusNotFound:
		return CodeNotFound
	case http.StatusRequestEntityTooLarge:
		return CodeTooLarge
	case http.StatusRequestTimeout:
		return CodeTimeout
	}
	if status < http.StatusInternalServerError {
		return CodeInvalid
	}
	return CodeInternal
}

// readProblem is the Error in a response body, or nil if there is none.
func readProblem(body []byte) *Error {
	var p problem
	if json.Unmarshal(body, &p) != nil || p.Detail == "" {
		return nil
	}
	if _, known := codes[p.Code]; !known {
		return nil
	}
	e := &Error{Code: p.Code, Message: printable(p.Detail), answered: true}
	for _, f := range p.Errors[:min(len(p.Errors), maxFaults)] {
		e.Faults = append(e.Faults, Fault{Where: printable(f.Where), What: printable(f.What)})
	}
	return e
}

// printable is s without what would let the sender write over other lines of
// the terminal that shows it, and not longer than maxMessage bytes.
func printable(s string) string {
	if len(s) > maxMessage {
		n := maxMessage
		for !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
}
