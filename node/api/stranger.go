package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

// maxAnswer is how much is taken from a machine that one knows by its address
// alone, in bytes.
const maxAnswer = 64 << 10

// strangerTime is how long such a machine may take.
const strangerTime = 5 * time.Second

// FetchID asks the node whose public API is at base, such as
// http://10.0.0.7:1234, who it is. It takes five seconds and 64 KiB at most,
// follows no redirect and uses no proxy. Its errors tell apart that nobody is
// there (CodeUnreachable; CodeUnavailable if a proxy says so), that somebody else
// is (CodeNotShoal), and that the answer is too large (CodeTooLarge) or too slow
// (CodeTimeout).
//
// What it returns is a stranger's word: addresses in it are not checked.
func FetchID(ctx context.Context, base string) (ID, error) {
	s, err := newStranger(base, strangerTime)
	if err != nil {
		return ID{}, err
	}
	return s.fetchID(ctx)
}

// Join sends a joiner's handshake message to the member whose public API is at
// base, and gives back its answer. Limits and errors are those of FetchID, and
// the member's own, such as CodeTokenExpired.
func Join(ctx context.Context, base string, msg []byte) ([]byte, error) {
	return join(ctx, base, msg, strangerTime)
}

// WaitToJoin is Join for a message made with a code. It waits with the member for
// about JoinHold that somebody lets this machine in; the answer is empty if nobody
// has yet, and then the same message is to be sent again.
func WaitToJoin(ctx context.Context, base string, msg []byte) ([]byte, error) {
	return join(ctx, base, msg, JoinHold+strangerTime)
}

func join(ctx context.Context, base string, msg []byte, limit time.Duration) ([]byte, error) {
	s, err := newStranger(base, limit)
	if err != nil {
		return nil, err
	}
	answer, contentType, err := s.ask(ctx, http.MethodPost, "/v1/join", msg)
	if err == nil && contentType != typeOctets {
		err = s.notShoal("it answered a request to join with %q", contentType)
	}
	if err != nil {
		return nil, fmt.Errorf("joining through %s: %w", s.base, err)
	}
	return answer, nil
}

// stranger is a machine that one knows by its address alone.
type stranger struct {
	base string
	time time.Duration
}

func newStranger(base string, limit time.Duration) (stranger, error) {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return stranger{}, Errorf(CodeInvalid, "%q is no address of a node's HTTP API: write http://HOST:PORT", base)
	}
	return stranger{base: u.Scheme + "://" + u.Host, time: limit}, nil
}

func (s stranger) fetchID(ctx context.Context) (ID, error) {
	body, contentType, err := s.ask(ctx, http.MethodGet, "/v1/id", nil)
	if err != nil {
		return ID{}, fmt.Errorf("asking %s for its peer ID: %w", s.base, err)
	}
	var id ID
	if contentType != typeJSON || json.Unmarshal(body, &id) != nil || id.Peer == "" {
		return ID{}, fmt.Errorf("asking %s for its peer ID: %w", s.base, s.notShoal("its answer has no peer ID"))
	}
	return id, nil
}

func (s stranger) notShoal(format string, args ...any) *Error {
	return Errorf(CodeNotShoal, "whoever answers there is no Shoal node: %w. Is the port right? A node's HTTP API is on 1234 unless it was told otherwise", fmt.Errorf(format, args...))
}

// ask sends one request and gives back the answer and its media type.
func (s stranger) ask(ctx context.Context, method, path string, body []byte) (answer []byte, contentType string, err error) {
	limited, cancel := context.WithTimeout(ctx, s.time)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, "", Errorf(CodeInvalid, "making the request: %w", err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", typeOctets)
	}
	resp, err := strangerClient().Do(req)
	if err != nil {
		if err = s.failed(ctx, limited, err); errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			err = Errorf(CodeUnreachable, "it takes connections and hangs up. Is a node just starting or stopping there, and is the port right?")
		}
		return nil, "", err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, "", s.failed(ctx, limited, err)
	case len(answer) > maxAnswer:
		return nil, "", Errorf(CodeTooLarge, "its answer is larger than the %d bytes that a node sends at most. Is that a Shoal node?", maxAnswer)
	case resp.StatusCode == http.StatusOK, resp.StatusCode == http.StatusAccepted && len(answer) == 0:
		return answer, mediaType(resp), nil
	}
	if e := readProblem(answer); e != nil && mediaType(resp) == problemType {
		return nil, "", e
	}
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return nil, "", Errorf(CodeUnavailable, "it answered %q, as a proxy does whose node is not up. Is the node behind it running?", printable(resp.Status))
	}
	if to := resp.Header.Get("Location"); to != "" {
		return nil, "", s.notShoal("it sends us elsewhere (%s, to %q)", resp.Status, printable(to))
	}
	return nil, "", s.notShoal("it answered %q", printable(resp.Status))
}

// strangerClient marks the errors from before there was a connection.
func strangerClient() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxAnswer,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err != nil {
					return nil, &unconnected{err}
				}
				return conn, nil
			},
		},
	}
}

// unconnected is an error from before there was a connection.
type unconnected struct{ err error }

func (u *unconnected) Error() string { return u.err.Error() }
func (u *unconnected) Unwrap() error { return u.err }

// failed says what kept an answer from coming.
func (s stranger) failed(ctx, limited context.Context, err error) error {
	var none *unconnected
	var untrusted *tls.CertificateVerificationError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &none):
		return Errorf(CodeUnreachable, "nobody answers there: %w. Is the node running, is the port right, and does a firewall let it through?", reason(err))
	case errors.As(err, &untrusted):
		return Errorf(CodeNotShoal, "its certificate is not to be trusted: %w. Use a name and a certificate that this machine trusts, or http, which is what a node speaks itself: "+
			"joining is encrypted within", untrusted.Err)
	case limited.Err() != nil:
		return Errorf(CodeTimeout, "it takes connections but gave no answer within %s", s.time)
	}
	return s.notShoal("it does not speak HTTP as a node does (%w)", reason(err))
}
