package api

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// deadlines notes what a handler asks of its connection.
type deadlines struct {
	*httptest.ResponseRecorder
	read []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.read = append(d.read, t)
	return nil
}

// A deadline that is left on the connection ends the context of a handler that
// is still at work: only the body may have one.
func TestDeadlineIsForTheBodyAlone(t *testing.T) {
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	asked := false
	r := local(&fake{pin: func(ctx context.Context, cid string) (Pin, error) {
		asked = true
		if len(w.read) < 2 || w.read[0].IsZero() || !w.read[len(w.read)-1].IsZero() {
			t.Errorf("deadlines when the handler runs: %v", w.read)
		}
		return Pin{CID: cid}, nil
	}}, zapNop)
	r.ServeHTTP(w, httptest.NewRequest("POST", "/v1/pins", strings.NewReader(`{"cid":"bafy"}`)))
	if !asked || w.Code != http.StatusOK {
		t.Errorf("status %d", w.Code)
	}
}

// An upload takes as long as it takes.
func TestUploadHasNoDeadline(t *testing.T) {
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	f := &fake{add: func(_ context.Context, tar io.Reader) (Added, error) {
		if !w.read[len(w.read)-1].IsZero() {
			t.Errorf("deadlines when the handler runs: %v", w.read)
		}
		n, err := io.Copy(io.Discard, tar)
		return Added{CID: "bafy", Size: job.Bytes(n)}, err
	}}
	local(f, zapNop).ServeHTTP(w, httptest.NewRequest("POST", "/v1/add", io.LimitReader(zeros{}, 3*maxJSON)))
	if w.Code != http.StatusCreated || !strings.Contains(w.Body.String(), `"3MiB"`) {
		t.Errorf("got %d: %s", w.Code, w.Body)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// Nobody holds a handler by not sending what he promised, wherever he sends it.
func TestSlowBodyIsRefused(t *testing.T) {
	f := &fake{ready: true, add: func(context.Context, io.Reader) (Added, error) {
		return Added{}, Errorf(CodeConflict, "the disk is full")
	}}
	_, srv := localServer(t, f, func(r *routes) { r.body = time.Millisecond })
	for _, c := range []struct {
		line   string
		status int
	}{
		{"POST /v1/pins", 408}, {"POST /v1/join", 408}, {"POST /nowhere", 404},
		{"DELETE /v1/id", 405}, {"GET /readyz", 200}, {"POST /v1/add", 409},
	} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		wantNo(t, err)
		_, err = io.WriteString(conn, c.line+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
		wantNo(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		wantNo(t, err)
		body, err := io.ReadAll(resp.Body)
		wantNo(t, err)
		wantNo(t, resp.Body.Close())
		if resp.StatusCode != c.status {
			t.Errorf("%s: got %s, want %d: %s", c.line, resp.Status, c.status, body)
		}
		if c.status == 408 {
			wantProblem(t, response{resp, body}, 408, CodeTimeout, "did not arrive within 1ms")
		}
		wantNo(t, conn.Close())
	}
	if len(f.got) != 0 {
		t.Errorf("the backend was asked %q", f.got)
	}
}
