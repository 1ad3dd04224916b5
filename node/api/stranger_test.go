package api

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"
)

func TestFetchID(t *testing.T) {
	srv := httptest.NewServer(Public(&fake{}, nobody, zaptest.NewLogger(t)))
	defer srv.Close()
	id, err := FetchID(t.Context(), srv.URL+"/")
	want(t, id.Peer, "12D3KooWMe", err)
}

// Whoever is there instead of a node is told apart.
func TestFetchIDFromStrangers(t *testing.T) {
	answer := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Location", "http://elsewhere/")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		code   Code
		says   string
	}{
		{"HTML", answer(200, "text/html", "<html>"), CodeNotShoal, "no peer ID"},
		{"other JSON", answer(200, "application/json", `{"status":"ok"}`), CodeNotShoal, "no peer ID"},
		{"a list", answer(200, "application/json", `[1]`), CodeNotShoal, "no peer ID"},
		{"elsewhere", answer(302, "text/html", ""), CodeNotShoal, `to "http://elsewhere/"`},
		{"not found", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, CodeNotShoal, "404"},
		{"a proxy with no node behind", answer(502, "text/html", ""), CodeUnavailable, "502"},
		{"large", answer(200, "application/json", strings.Repeat(" ", maxAnswer+1)), CodeTooLarge, "65536"},
		{"accepted", answer(202, "application/json", ""), CodeNotShoal, "no peer ID"},
		{"truncated", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"peer":"12D3`))
		}, CodeNotShoal, "unexpected EOF"},
		{"truncated JSON", answer(200, "application/json", `{"peer":"12D3`), CodeNotShoal, "no peer ID"},
		{"huge", func(w http.ResponseWriter, r *http.Request) { // more than any reader would wait for
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, maxAnswer)); err != nil {
					return
				}
			}
		}, CodeTooLarge, "65536"},
		{"large header", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 2*maxAnswer)) }, CodeNotShoal, "HTTP"},
		{"a node's problem", func(w http.ResponseWriter, _ *http.Request) {
			writeProblem(w, newProblem(Errorf(CodeRateLimited, "too many")))
		}, CodeRateLimited, "too many"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(c.answer)
			defer srv.Close()
			_, err := FetchID(t.Context(), srv.URL)
			if CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), srv.URL) {
				t.Errorf("got %v (%s)", err, CodeOf(err))
			}
		})
	}
}

func TestFetchIDFromNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	wantNo(t, err)
	addr := l.Addr().String()
	wantNo(t, l.Close())
	_, err = FetchID(t.Context(), "http://"+addr)
	if CodeOf(err) != CodeUnreachable || !strings.Contains(err.Error(), "nobody answers there: connection refused") {
		t.Errorf("got %v", err)
	}
	for _, bad := range []string{"", "10.0.0.7", "ftp://x", "http://"} {
		if _, err := FetchID(t.Context(), bad); CodeOf(err) != CodeInvalid {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

// A port where something else than HTTP is spoken: a node's libp2p port is.
func TestFetchIDFromAnotherProtocol(t *testing.T) {
	_, err := FetchID(t.Context(), rawServer(t, "\x13/multistream/1.0.0\n"))
	if CodeOf(err) != CodeNotShoal || !strings.Contains(err.Error(), "does not speak HTTP") {
		t.Errorf("got %v", err)
	}
	_, err = FetchID(t.Context(), rawServer(t, ""))
	if CodeOf(err) != CodeUnreachable || !strings.Contains(err.Error(), "hangs up") {
		t.Errorf("got %v", err)
	}
}

func TestFetchIDFromTheSlow(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	defer srv.Close()
	defer close(release)
	drip := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"peer":`))
		_ = http.NewResponseController(w).Flush()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for r.Context().Err() == nil {
			<-tick.C
			_, _ = w.Write([]byte(" "))
			_ = http.NewResponseController(w).Flush()
		}
	}))
	defer drip.Close()
	for _, slow := range []string{srv.URL, drip.URL} {
		s, err := newStranger(slow, 50*time.Millisecond)
		wantNo(t, err)
		if _, err := s.fetchID(t.Context()); CodeOf(err) != CodeTimeout || !strings.Contains(err.Error(), "within 50ms") {
			t.Errorf("got %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := FetchID(ctx, srv.URL); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Whoever put a proxy with TLS in front is told what is wrong with it.
func TestFetchIDOverTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(Public(&fake{}, nobody, zaptest.NewLogger(t)))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	plain := httptest.NewServer(Public(&fake{}, nobody, zaptest.NewLogger(t)))
	defer plain.Close()
	for at, says := range map[string]string{
		srv.URL: "certificate is not to be trusted",
		"http" + strings.TrimPrefix(srv.URL, "https"):   "400 Bad Request",
		"https" + strings.TrimPrefix(plain.URL, "http"): "HTTP response to HTTPS client",
	} {
		if _, err := FetchID(t.Context(), at); CodeOf(err) != CodeNotShoal || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", at, err)
		}
	}
}

func TestFetchIDUsesNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	if strangerClient().Transport.(*http.Transport).Proxy != nil {
		t.Error("it does")
	}
}

func TestJoin(t *testing.T) {
	f := &fake{}
	srv := httptest.NewServer(Public(f, nobody, zaptest.NewLogger(t)))
	defer srv.Close()
	answer, err := Join(t.Context(), srv.URL, []byte("hi"))
	want(t, string(answer), "answer to hi", err)

	f.join = func(context.Context, []byte) ([]byte, error) {
		return nil, Errorf(CodeTokenExpired, "the token expired at noon; make another with node token create")
	}
	_, err = Join(t.Context(), srv.URL, []byte("hi"))
	if CodeOf(err) != CodeTokenExpired || ExitCode(err) != 2 || !strings.Contains(err.Error(), "at noon") {
		t.Errorf("got %v", err)
	}

	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer html.Close()
	if _, err := Join(t.Context(), html.URL, nil); CodeOf(err) != CodeNotShoal {
		t.Errorf("got %v", err)
	}
}
