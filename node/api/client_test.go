package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

var zapNop = zap.NewNop()

func TestNoNodeAtTheSocket(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "none.sock")
	stale := filepath.Join(dir, "stale.sock")
	l, err := net.Listen("unix", stale)
	wantNo(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	wantNo(t, l.Close())
	file := filepath.Join(dir, "file")
	wantNo(t, os.WriteFile(file, nil, 0o600))
	for _, path := range []string{missing, stale, file, "unix://" + missing} {
		_, err := NewClient(path).ID(t.Context())
		if CodeOf(err) != CodeUnreachable || ExitCode(err) != 3 {
			t.Errorf("%s: got %v", path, err)
		}
		if !strings.Contains(err.Error(), "no node answers at "+strings.TrimPrefix(path, "unix://")) || Answered(err) {
			t.Errorf("%s: got %q", path, err)
		}
	}
}

func TestNoNodeAtTheURL(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	wantNo(t, err)
	url := "http://" + l.Addr().String()
	wantNo(t, l.Close())
	_, err = NewClient(url).List(t.Context())
	if CodeOf(err) != CodeUnreachable || !strings.Contains(err.Error(), url+": connection refused") {
		t.Errorf("got %v", err)
	}
	for _, bad := range []string{"http://", "http://x/v1", "https://a b"} {
		if _, err := NewClient(bad).List(t.Context()); CodeOf(err) != CodeInvalid {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

func TestSomebodyElseAnswers(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Error(w, "no", http.StatusTeapot)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>"))
	}))
	defer srv.Close()
	c := NewClient(srv.URL)
	if _, err := c.List(t.Context()); CodeOf(err) != CodeNotShoal {
		t.Errorf("got %v", err)
	}
	if _, err := c.Cancel(t.Context(), "k7q2"); CodeOf(err) != CodeNotShoal || !strings.Contains(err.Error(), "418") {
		t.Errorf("got %v", err)
	}
}

func TestNodeStopsInTheMiddle(t *testing.T) {
	for _, answer := range []string{"", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n["} {
		_, err := NewClient(rawServer(t, answer)).List(t.Context())
		if CodeOf(err) != CodeUnreachable || !strings.Contains(err.Error(), "broke off") {
			t.Errorf("got %v", err)
		}
	}
}

// The caller's deadline is the caller's error.
func TestClientDeadline(t *testing.T) {
	release := make(chan struct{})
	c, _ := localServer(t, &fake{list: func(ctx context.Context) (JobList, error) {
		select {
		case <-ctx.Done():
		case <-release:
		}
		return JobList{}, nil
	}})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := c.List(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || ExitCode(err) != 4 {
		t.Errorf("got %v", err)
	}
}

// A client needs no more than something that makes connections.
func TestClientOverAnything(t *testing.T) {
	_, srv := localServer(t, &fake{})
	c := NewClientDial("peer XVgk2y8Q", func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", srv.Listener.Addr().String())
	})
	id, err := c.ID(t.Context())
	want(t, id.Peer, "12D3KooWMe", err)

	lost := errors.New("no route")
	c = NewClientDial("peer XVgk2y8Q", func(context.Context) (net.Conn, error) { return nil, lost })
	_, err = c.ID(t.Context())
	if !errors.Is(err, lost) || CodeOf(err) != CodeUnreachable || !strings.HasPrefix(err.Error(), "peer XVgk2y8Q cannot be reached: no route. Does its node run?") {
		t.Errorf("got %v", err)
	}
}

// A peer is one of many that are asked at a time: what it may have this node hold in
// memory is less than what the own node may.
func TestPeersAnswerInFewerBytes(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", typeJSON)
		fmt.Fprintf(w, `{"peer": "12D3KooWMe", "more": "%s"}`, strings.Repeat("x", maxTold))
	}))
	defer srv.Close()
	id, err := NewClient(srv.URL).ID(t.Context())
	want(t, id.Peer, "12D3KooWMe", err)
	_, err = NewClientDial("peer XVgk2y8Q", func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", srv.Listener.Addr().String())
	}).ID(t.Context())
	if CodeOf(err) != CodeTooLarge || !strings.Contains(err.Error(), "8388608 bytes") {
		t.Errorf("got %v", err)
	}
}
