package api

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"go.uber.org/zap"
)

// trailerProblem is the trailer that says why a download is not whole.
const trailerProblem = "Shoal-Problem"

// maxTrailer bounds it, in bytes; readers of trailers have limits.
const maxTrailer = 2048

// download sends what write writes. If write fails before its first byte, the
// answer is a problem. If it fails later, a caller that said "TE: trailers"
// finds the problem in a trailer, and for everybody else the connection breaks
// before the end of the body, which every HTTP client reports.
func (r *routes) download(w http.ResponseWriter, req *http.Request, contentType string, write func(io.Writer) error) {
	if !req.ProtoAtLeast(1, 1) {
		// The end of an HTTP/1.0 body looks the same whether it is whole or not.
		writeProblem(w, newProblem(Errorf(CodeInvalid, "downloads need HTTP/1.1")).as(http.StatusHTTPVersionNotSupported))
		return
	}
	d := &downloadWriter{w: w, contentType: contentType, trailers: takesTrailers(req)}
	err := write(d)
	switch {
	case d.lost != nil:
		r.log.Debug("a reader of data went away", zap.Error(d.lost))
		panic(http.ErrAbortHandler)
	case err == nil:
		d.start()
	case !d.started:
		writeProblem(w, r.problem(req.Context(), err))
	case d.trailers:
		w.Header().Set(trailerProblem, trailer(r.problem(req.Context(), err)))
	default:
		panic(http.ErrAbortHandler)
	}
}

// trailer is p in a header's value.
func trailer(p *problem) string {
	if len(p.Detail) > maxTrailer {
		p.Detail = strings.ToValidUTF8(p.Detail[:maxTrailer], "") + "…"
	}
	p.Errors = nil
	b, err := json.Marshal(p)
	if err != nil {
		return "{}"
	}
	return string(b)
}

func takesTrailers(req *http.Request) bool {
	for _, v := range req.Header.Values("TE") {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), "trailers") {
				return true
			}
		}
	}
	return false
}

// downloadWriter puts off the header until there is something to send.
type downloadWriter struct {
	w           http.ResponseWriter
	contentType string
	trailers    bool
	started     bool
	lost        error // why nothing reaches the reader any more
}

func (d *downloadWriter) start() {
	if d.started {
		return
	}
	d.started = true
	d.w.Header().Set("Content-Type", d.contentType)
	d.w.Header().Set("X-Content-Type-Options", "nosniff")
	if d.trailers {
		d.w.Header().Set("Trailer", trailerProblem)
	}
}

func (d *downloadWriter) Write(b []byte) (int, error) {
	d.start()
	n, err := d.w.Write(b)
	if err != nil {
		d.lost = err
	}
	return n, err
}
