package api

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Each change is seen before the next one is made.
func TestWatchIsLive(t *testing.T) {
	seen := make(chan job.State)
	c, _ := localServer(t, &fake{watch: func(ctx context.Context, id string, see func(job.Job) error) error {
		for s := job.Waiting; s <= job.Done; s++ {
			if err := see(aJob(id, s)); err != nil {
				return err
			}
			select {
			case got := <-seen:
				if got != s {
					t.Errorf("saw %s, want %s", got, s)
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}})
	wantNo(t, c.Watch(t.Context(), "k7q2", func(j job.Job) error {
		seen <- j.Tasks[0].State
		return nil
	}))
}

func TestLogsPassTheirOptions(t *testing.T) {
	given := LogOptions{Follow: true, Stdout: 5 << 40, Stderr: 7, Attempt: 2}
	c, _ := localServer(t, &fake{logs: func(_ context.Context, _ string, o LogOptions, see func(LogChunk) error) error {
		if o != given {
			t.Errorf("got %+v", o)
		}
		return see(LogChunk{Attempt: 2, Stream: "stderr", Offset: 7, Data: []byte{0, '\n', '\r', 255}})
	}})
	var got LogChunk
	wantNo(t, c.Logs(t.Context(), "k7q2", given, func(l LogChunk) error { got = l; return nil }))
	if got.Offset != 7 || string(got.Data) != "\x00\n\r\xff" {
		t.Errorf("got %+v", got)
	}
}

// An error before the first event is a plain answer with its status.
func TestStreamRefused(t *testing.T) {
	f := &fake{logs: func(context.Context, string, LogOptions, func(LogChunk) error) error {
		return Errorf(CodeNotFound, "there is no job k7q2")
	}}
	c, srv := localServer(t, f)
	wantProblem(t, get(t, srv.URL+"/v1/jobs/k7q2/logs"), 404, CodeNotFound, "no job k7q2")
	err := c.Logs(t.Context(), "k7q2", LogOptions{}, nil)
	if CodeOf(err) != CodeNotFound {
		t.Errorf("got %v", err)
	}
}

// A later one arrives too, after what was sent before it.
func TestStreamBreaksOff(t *testing.T) {
	f := &fake{logs: func(_ context.Context, _ string, _ LogOptions, see func(LogChunk) error) error {
		return errors.Join(see(LogChunk{Attempt: 1, Stream: "stdout", Data: []byte("half")}), Errorf(CodeUnreachable, "peer XVgk2y8Q is gone"))
	}}
	c, _ := localServer(t, f)
	var got string
	err := c.Logs(t.Context(), "k7q2", LogOptions{}, func(l LogChunk) error { got += string(l.Data); return nil })
	if got != "half" || CodeOf(err) != CodeUnreachable || !strings.Contains(err.Error(), "XVgk2y8Q") {
		t.Errorf("got %q and %v", got, err)
	}
}

// A node that dies in the middle of a stream is not taken for its end.
func TestStreamCutOff(t *testing.T) {
	for name, last := range map[string]string{"clean end": "0\r\n\r\n", "cut": ""} {
		t.Run(name, func(t *testing.T) {
			const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
			url := rawServer(t, head+"3\r\n:\n\n\r\n"+last)
			err := NewClient(url).Watch(t.Context(), "k7q2", func(job.Job) error { return nil })
			if CodeOf(err) != CodeUnreachable || ExitCode(err) != 3 {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestEventsAreBounded(t *testing.T) {
	url := rawServer(t, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: "+strings.Repeat("x", maxEvent+1))
	err := NewClient(url).Watch(t.Context(), "k7q2", func(job.Job) error { return nil })
	if CodeOf(err) != CodeTooLarge {
		t.Errorf("got %v", err)
	}
}

func TestSeeEndsTheStream(t *testing.T) {
	stopped := make(chan error, 1)
	c, _ := localServer(t, &fake{watch: func(ctx context.Context, id string, see func(job.Job) error) error {
		err := see(aJob(id, job.Running))
		if err == nil {
			<-ctx.Done() // the client's connection is closed
			err = ctx.Err()
		}
		stopped <- err
		return err
	}})
	enough := errors.New("enough")
	if err := c.Watch(t.Context(), "k7q2", func(job.Job) error { return enough }); err != enough {
		t.Errorf("got %v", err)
	}
	if err := <-stopped; err == nil {
		t.Error("the backend was not told")
	}
}

func TestContextEndsTheStream(t *testing.T) {
	c, _ := localServer(t, &fake{watch: func(ctx context.Context, id string, see func(job.Job) error) error {
		_ = see(aJob(id, job.Running))
		<-ctx.Done()
		return ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Watch(ctx, "k7q2", func(job.Job) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A stream with nothing to say says that it is alive, and its header comes with
// that at the latest.
func TestHeartbeat(t *testing.T) {
	f := &fake{logs: func(ctx context.Context, _ string, _ LogOptions, _ func(LogChunk) error) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	_, srv := localServer(t, f, func(r *routes) { r.beat = time.Millisecond })
	resp, err := http.Get(srv.URL + "/v1/jobs/k7q2/logs?follow=true")
	wantNo(t, err)
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}
	lines := bufio.NewScanner(resp.Body)
	for n := 0; n < 4 && lines.Scan(); n++ {
		if got := lines.Text(); got != "" && got != ":" {
			t.Errorf("got line %q", got)
		}
	}
	wantNo(t, lines.Err())
}

// The heartbeat finds out that the caller is gone, where nothing else does.
func TestDeadCallerEndsTheStream(t *testing.T) {
	r := local(&fake{}, zapNop)
	r.beat = time.Millisecond
	w := &deadWriter{header: http.Header{}}
	s := &eventWriter{w: w, control: http.NewResponseController(w)}
	r.serveEvents(context.Background(), s, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
}

// That a reader went away is no fault of the node, and nobody is there to tell.
func TestLostReaderIsNoError(t *testing.T) {
	core, logged := observer.New(zap.DebugLevel)
	r := newRoutes("", "", zap.New(core))
	r.hide = true
	w := &deadWriter{header: http.Header{}}
	r.serveEvents(t.Context(), &eventWriter{w: w, control: http.NewResponseController(w)}, func(context.Context) error {
		return errors.New("write: connection reset by peer")
	})
	s := &eventWriter{w: w, control: http.NewResponseController(w)}
	r.serveEvents(t.Context(), s, func(context.Context) error { return s.event("", []byte("{}")) })
	func() {
		defer func() { _ = recover() }() // the connection is given up
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		r.download(w, req, typeTar, func(w io.Writer) error { _, err := io.WriteString(w, "half"); return err })
	}()
	var loud int
	for _, l := range logged.All() {
		if l.Level > zap.DebugLevel {
			loud++
		}
	}
	if loud != 1 || logged.Len() != 3 { // the first is the backend's own error, from before anything was sent
		t.Errorf("logged %v", logged.All())
	}
}

type deadWriter struct{ header http.Header }

func (d *deadWriter) Header() http.Header       { return d.header }
func (d *deadWriter) Write([]byte) (int, error) { return 0, net.ErrClosed }
func (d *deadWriter) WriteHeader(int)           {}

// rawServer answers each connection with the bytes of answer, whatever is
// asked, and closes it.
func rawServer(t *testing.T, answer string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	wantNo(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(conn).ReadString('\n')
			_, _ = conn.Write([]byte(answer))
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = bufio.NewReader(conn).WriteTo(discard{})
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return "http://" + l.Addr().String()
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
