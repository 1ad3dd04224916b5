package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"github.com/shoal-mesh/shoal/node/api/sign"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

var errUnlisted = Errorf(CodeForbidden, "this node does not list your key")

func nobody(sign.Key) error { return errUnlisted }

// aKey is a private key that is the same for the same seed.
func aKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

// only lets one key in.
func only(key ed25519.PrivateKey) Allowed {
	return func(k sign.Key) error {
		if k != sign.KeyOf(key) {
			return errUnlisted
		}
		return nil
	}
}

// publicServer serves the public API for the key with seed 1.
func publicServer(t *testing.T, b Backend) (*Client, *httptest.Server) {
	t.Helper()
	srv := httptest.NewServer(Public(b, only(aKey(1)), zaptest.NewLogger(t)))
	t.Cleanup(srv.Close)
	return NewClient(srv.URL), srv
}

// counted counts the requests to a path that h answers.
func counted(h http.Handler, path string, n *atomic.Int32) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == path {
			n.Add(1)
		}
		h.ServeHTTP(w, r)
	})
}

func TestSignedClientReachesEverything(t *testing.T) {
	ctx := t.Context()
	var signer sign.Key
	f := &fake{ready: true, pins: []Pin{{CID: "bafypin"}}, job: func(ctx context.Context, _ string) (job.Job, error) {
		signer, _ = Signer(ctx)
		return aJob("k7q2", job.Done), nil
	}}
	var asked atomic.Int32
	srv := httptest.NewServer(counted(Public(f, only(aKey(1)), zaptest.NewLogger(t)), "/v1/nonce", &asked))
	defer srv.Close()
	c := NewClient(srv.URL).Signed(aKey(1))

	receipt, err := c.Submit(ctx, Submission{Spec: aJob("x", job.Done).Spec, Nonce: nonce})
	want(t, receipt.ID, job.NewID("abcde", nonce), err)
	_, err = c.Job(ctx, "k7q2")
	want(t, signer, sign.KeyOf(aKey(1)), err)
	_, err = c.Cancel(ctx, "k7q2")
	wantNo(t, err)
	n := 0
	wantNo(t, c.Watch(ctx, "k7q2", func(job.Job) error { n++; return nil }))
	want(t, n, 3, nil)
	var out bytes.Buffer
	wantNo(t, c.Logs(ctx, "k7q2", LogOptions{Follow: true, Stdout: 3, Attempt: 1}, func(l LogChunk) error { out.Write(l.Data); return nil }))
	want(t, out.String(), "hello\n", nil)
	out.Reset()
	err = c.Tar(ctx, "bafy/a folder/50% #1?.txt", &out)
	want(t, out.String(), "tar of bafy/a folder/50% #1?.txt", err)
	added, err := c.Upload(ctx, "a name & more", func(w io.Writer) error {
		_, err := w.Write(bytes.Repeat([]byte("x"), 3<<20))
		return err
	})
	want(t, added.Size, job.Bytes(3<<20), err)
	_, err = c.Unpin(ctx, "job k7q2/a b?")
	wantNo(t, err)
	_, err = c.Pin(ctx, PinRequest{CID: "bafynew"})
	wantNo(t, err)
	id, err := c.ID(ctx)
	want(t, id.Peer, "12D3KooWMe", err)
	_, err = c.Token(ctx, time.Minute) // over loopback
	wantNo(t, err)

	// One for the first request, and one for the upload, which takes no used one.
	// The fourth answer on, one is at hand.
	if n := asked.Load(); n > 3 {
		t.Errorf("the node was asked for %d nonces", n)
	}
	if _, err := c.Add(ctx, strings.NewReader("x"), ""); CodeOf(err) != CodeInvalid {
		t.Errorf("a body that can be read once: %v", err)
	}
}

func TestSideBySide(t *testing.T) {
	c, _ := publicServer(t, &fake{})
	c = c.Signed(aKey(1))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 10 {
				if _, err := c.List(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func TestUnlistedKey(t *testing.T) {
	f := &fake{}
	c, _ := publicServer(t, f)
	_, err := c.Signed(aKey(2)).List(t.Context())
	if CodeOf(err) != CodeForbidden || !Answered(err) || !strings.Contains(err.Error(), "does not list your key") {
		t.Errorf("got %v", err)
	}
	_, err = c.Signed(aKey(2)).Upload(t.Context(), "", func(w io.Writer) error {
		_, err := w.Write(make([]byte, 8<<20))
		return err
	})
	if CodeOf(err) != CodeForbidden {
		t.Errorf("an upload: got %v", err)
	}
	if len(f.got) > 0 {
		t.Errorf("the backend was asked %q", f.got)
	}
	// Who the node is, everybody may know, with whatever key.
	id, err := c.Signed(aKey(2)).ID(t.Context())
	want(t, id.Peer, "12D3KooWMe", err)
}

// A key that is taken off the list is out at the next request.
func TestKeyTakenOffTheList(t *testing.T) {
	var out atomic.Bool
	srv := httptest.NewServer(Public(&fake{}, func(sign.Key) error {
		if out.Load() {
			return errUnlisted
		}
		return nil
	}, zaptest.NewLogger(t)))
	defer srv.Close()
	c := NewClient(srv.URL).Signed(aKey(1))
	_, err := c.List(t.Context())
	wantNo(t, err)
	out.Store(true)
	if _, err = c.List(t.Context()); CodeOf(err) != CodeForbidden {
		t.Errorf("got %v", err)
	}
}

// signedRequest is a signed request that a test can tamper with.
func signedRequest(t *testing.T, srv *httptest.Server, method, path, body string) *http.Request {
	t.Helper()
	n, err := NewClient(srv.URL).fetchNonce(t.Context())
	wantNo(t, err)
	return requestWith(t, srv, n.Node, n.Nonce, method, path, body)
}

func requestWith(t *testing.T, srv *httptest.Server, node, nonce, method, path, body string) *http.Request {
	t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, in)
	wantNo(t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		wantNo(t, sign.SetDigest(req, sha256.Sum256([]byte(body))))
	}
	wantNo(t, sign.Request(req, aKey(1), node, nonce))
	return req
}

func ask1(t *testing.T, req *http.Request) response {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	wantNo(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	wantNo(t, err)
	return response{resp, b}
}

func TestTampering(t *testing.T) {
	f := &fake{}
	_, srv := publicServer(t, f)
	const path, body = "/v1/pins?", `{"cid":"bafy"}`
	if r := ask1(t, signedRequest(t, srv, "POST", "/v1/pins", body)); r.StatusCode != 200 {
		t.Fatalf("untouched: %s %s", r.Status, r.body)
	}
	if r := ask1(t, signedRequest(t, srv, "GET", "/v1/jobs/k7q2/logs?stdout=1&stderr=2", "")); r.StatusCode != 200 {
		t.Fatalf("untouched: %s %s", r.Status, r.body)
	}
	f.got = nil
	setBody := func(r *http.Request, b string) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(b)), int64(len(b))
	}
	for name, tamper := range map[string]func(*http.Request){
		"method":          func(r *http.Request) { r.Method = "PUT"; r.URL.Path = "/v1/pins" },
		"path":            func(r *http.Request) { r.URL.Path = "/v1/jobs" },
		"escaped path":    func(r *http.Request) { r.URL.RawPath = "/v1/%70ins" },
		"query":           func(r *http.Request) { r.URL.RawQuery = "x=1" },
		"body":            func(r *http.Request) { setBody(r, `{"cid":"evil"}`) },
		"longer body":     func(r *http.Request) { setBody(r, body+" ") },
		"shorter body":    func(r *http.Request) { setBody(r, body[:5]) },
		"no body":         func(r *http.Request) { r.Body, r.ContentLength = nil, 0 },
		"digest":          func(r *http.Request) { _ = sign.SetDigest(r, sha256.Sum256([]byte("evil"))) },
		"digest and body": func(r *http.Request) { setBody(r, "evil"); _ = sign.SetDigest(r, sha256.Sum256([]byte("evil"))) },
		"no digest":       func(r *http.Request) { r.Header.Del("Content-Digest") },
		"two digests":     func(r *http.Request) { r.Header.Add("Content-Digest", r.Header.Get("Content-Digest")) },
		"weak digest":     func(r *http.Request) { r.Header.Set("Content-Digest", "md5=:AAAA:") },
		"content type":    func(r *http.Request) { r.Header.Set("Content-Type", "application/x-tar") },
		"no content type": func(r *http.Request) { r.Header.Del("Content-Type") },
		"node":            func(r *http.Request) { r.Header.Set("Shoal-Node", "12D3KooWOther") },
		"two nodes":       func(r *http.Request) { r.Header.Add("Shoal-Node", "12D3KooWMe") },
		"no node":         func(r *http.Request) { r.Header.Del("Shoal-Node") },
		"other key": func(r *http.Request) {
			replaceIn(r, "Signature-Input", sign.KeyOf(aKey(1)).String(), sign.KeyOf(aKey(2)).String())
		},
		"no key": func(r *http.Request) {
			replaceIn(r, "Signature-Input", `;keyid="`+sign.KeyOf(aKey(1)).String()+`"`, "")
		},
		"covers less":       func(r *http.Request) { replaceIn(r, "Signature-Input", ` "content-digest"`, "") },
		"covers twice":      func(r *http.Request) { replaceIn(r, "Signature-Input", `"@path"`, `"@path" "@path"`) },
		"covers with a bit": func(r *http.Request) { replaceIn(r, "Signature-Input", `"@path"`, `"@path";req`) },
		"other order":       func(r *http.Request) { replaceIn(r, "Signature-Input", `"@method" "@path"`, `"@path" "@method"`) },
		"other algorithm":   func(r *http.Request) { replaceIn(r, "Signature-Input", "ed25519", "hmac-sha256") },
		"other tag":         func(r *http.Request) { replaceIn(r, "Signature-Input", `tag="shoal"`, `tag="shoals"`) },
		"one more param":    func(r *http.Request) { r.Header.Set("Signature-Input", r.Header.Get("Signature-Input")+";created=1") },
		"other label":       func(r *http.Request) { replaceIn(r, "Signature", "shoal=", "other=") },
		"two signatures":    func(r *http.Request) { r.Header.Set("Signature", r.Header.Get("Signature")+", more=:AAAA:") },
		"truncated":         func(r *http.Request) { r.Header.Set("Signature", r.Header.Get("Signature")[:40]) },
		"short signature":   func(r *http.Request) { r.Header.Set("Signature", "shoal=:AAAA:") },
		"no signature":      func(r *http.Request) { r.Header.Del("Signature") },
		"no input":          func(r *http.Request) { r.Header.Del("Signature-Input") },
		"huge input":        func(r *http.Request) { r.Header.Set("Signature-Input", strings.Repeat("x", 16<<10)) },
		"nonce of another":  func(r *http.Request) { setNonce(r, sign.NewNonces().New()) },
		"no nonce":          func(r *http.Request) { setNonce(r, "") },
		"old digest header": func(r *http.Request) { r.Header.Set("Digest", "SHA-256=x"); setBody(r, "evil") },
	} {
		t.Run(name, func(t *testing.T) {
			req := signedRequest(t, srv, "POST", strings.TrimSuffix(path, "?"), body)
			tamper(req)
			if r := ask1(t, req); r.StatusCode == 405 || r.StatusCode == 404 {
				if name != "method" { // nothing is there for it
					t.Errorf("got %s %s", r.Status, r.body)
				}
			} else if r.StatusCode != 401 && r.StatusCode != 403 && r.StatusCode != 429 {
				t.Errorf("got %s %s", r.Status, r.body)
			}
		})
	}
	t.Run("query order", func(t *testing.T) {
		req := signedRequest(t, srv, "GET", "/v1/jobs/k7q2/logs?stdout=1&stderr=2", "")
		req.URL.RawQuery = "stderr=2&stdout=1"
		if r := ask1(t, req); r.StatusCode == 200 {
			t.Errorf("got %s", r.Status)
		}
	})
	if len(f.got) > 0 {
		t.Errorf("the backend was asked %q", f.got)
	}
	// All this was from one address, and does not keep a client out who has a key.
	if r := ask1(t, signedRequest(t, srv, "POST", "/v1/pins", body)); r.StatusCode != 200 {
		t.Errorf("after all: %s %s", r.Status, r.body)
	}
}

func replaceIn(r *http.Request, header, old, with string) {
	v := r.Header.Get(header)
	if !strings.Contains(v, old) {
		panic(header + ": " + v + " has no " + old)
	}
	r.Header.Set(header, strings.Replace(v, old, with, 1))
}

func setNonce(r *http.Request, nonce string) {
	v := r.Header.Get("Signature-Input")
	a := strings.Index(v, `nonce="`) + len(`nonce="`)
	b := a + strings.Index(v[a:], `"`)
	r.Header.Set("Signature-Input", v[:a]+nonce+v[b:])
}

func TestReplay(t *testing.T) {
	f := &fake{}
	_, a := publicServer(t, f)
	_, b := publicServer(t, &fake{})
	n, err := NewClient(a.URL).fetchNonce(t.Context())
	wantNo(t, err)
	first := requestWith(t, a, n.Node, n.Nonce, "GET", "/v1/jobs", "")
	if r := ask1(t, first); r.StatusCode != 200 || r.Header.Get("Shoal-Nonce") == "" || r.Header.Get("Shoal-Nonce") == n.Nonce {
		t.Fatalf("got %s, next nonce %q", r.Status, r.Header.Get("Shoal-Nonce"))
	}
	r := ask1(t, requestWith(t, a, n.Node, n.Nonce, "GET", "/v1/jobs", ""))
	wantProblem(t, r, 401, CodeStaleNonce, "used before")
	if r.Header.Get("Shoal-Nonce") == "" {
		t.Error("no next nonce")
	}
	wantProblem(t, ask1(t, requestWith(t, a, n.Node, n.Nonce, "GET", "/v1/peers", "")), 401, CodeStaleNonce, "used before")
	// At another node that lists the key, which even says that it is the first.
	n, err = NewClient(a.URL).fetchNonce(t.Context())
	wantNo(t, err)
	wantProblem(t, ask1(t, requestWith(t, b, n.Node, n.Nonce, "GET", "/v1/jobs", "")), 401, CodeStaleNonce, "gave out")
	if len(f.got) != 1 {
		t.Errorf("the backend was asked %q", f.got)
	}
}

// A request that was refused has used up nothing: an eavesdropper who tampers
// with the header cannot burn the nonce of the true one.
func TestForgeryBurnsNoNonce(t *testing.T) {
	_, srv := publicServer(t, &fake{})
	n, err := NewClient(srv.URL).fetchNonce(t.Context())
	wantNo(t, err)
	forged := requestWith(t, srv, n.Node, n.Nonce, "GET", "/v1/jobs", "")
	forged.URL.Path = "/v1/peers"
	wantProblem(t, ask1(t, forged), 401, CodeUnauthorized, "signature is wrong")
	if r := ask1(t, requestWith(t, srv, n.Node, n.Nonce, "GET", "/v1/jobs", "")); r.StatusCode != 200 {
		t.Errorf("got %s %s", r.Status, r.body)
	}
}

// A client whose nonces a restart has made worthless signs again by itself.
func TestRestartedNode(t *testing.T) {
	var current atomic.Pointer[http.Handler]
	restart := func() {
		h := Public(&fake{}, only(aKey(1)), zaptest.NewLogger(t))
		current.Store(&h)
	}
	restart()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*current.Load()).ServeHTTP(w, r) }))
	defer srv.Close()
	c := NewClient(srv.URL).Signed(aKey(1))
	for range 3 {
		receipt, err := c.Submit(t.Context(), Submission{Spec: aJob("x", job.Done).Spec, Nonce: nonce})
		want(t, receipt.ID, job.NewID("abcde", nonce), err)
		restart()
	}
}

// That another node answers at the address now is told, and nothing is asked of it.
func TestAnotherNodeAnswers(t *testing.T) {
	h := Public(&fake{}, only(aKey(1)), zaptest.NewLogger(t))
	other := &renamed{fake{}}
	var swapped atomic.Bool
	second := Public(other, only(aKey(1)), zaptest.NewLogger(t))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if swapped.Load() {
			second.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	c := NewClient(srv.URL).Signed(aKey(1))
	_, err := c.List(t.Context())
	wantNo(t, err)
	swapped.Store(true)
	_, err = c.List(t.Context()) // with the nonce of the first
	if CodeOf(err) != CodeUnauthorized && CodeOf(err) != CodeNotShoal {
		t.Errorf("got %v", err)
	}
	if len(other.got) > 0 {
		t.Errorf("it was asked %q", other.got)
	}
}

// An address may say whose it is.
func TestAddressWithPeer(t *testing.T) {
	self, other := sign.KeyOf(aKey(7)).String(), sign.KeyOf(aKey(8)).String()
	f := &named{peer: self}
	srv := httptest.NewServer(Public(f, only(aKey(1)), zaptest.NewLogger(t)))
	defer srv.Close()
	at := func(peer string) error {
		_, err := NewClient(strings.Replace(srv.URL, "://", "://"+peer+"@", 1)).Signed(aKey(1)).List(t.Context())
		return err
	}
	wantNo(t, at(self))
	f.got = nil
	if err := at(other); CodeOf(err) != CodeNotShoal || !strings.Contains(err.Error(), self+", and "+other+" is meant") || len(f.got) > 0 {
		t.Errorf("got %v, and it was asked %q", err, f.got)
	}
	for _, bad := range []string{"ann", self + ":secret", ":secret"} {
		if err := at(bad); CodeOf(err) != CodeInvalid || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

type named struct {
	fake
	peer string
}

func (n *named) ID(context.Context) ID { return ID{Peer: n.peer} }

type renamed struct{ fake }

func (*renamed) ID(context.Context) ID { return ID{Peer: "12D3KooWOther"} }

// A nonce has gone stale after two minutes, and clients know before.
func TestNonceGoesStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := Public(&fake{}, only(aKey(1)), zap.NewNop())
		ask := func(nonce string) int {
			req := httptest.NewRequest("GET", "/v1/jobs", nil)
			wantNo(t, sign.Request(req, aKey(1), "12D3KooWMe", nonce))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			return w.Code
		}
		get := func() string {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/v1/nonce", nil))
			var n Nonce
			wantNo(t, json.Unmarshal(w.Body.Bytes(), &n))
			return n.Nonce
		}
		early, late := get(), get()
		time.Sleep(sign.Window - time.Nanosecond)
		want(t, ask(early), 200, nil)
		time.Sleep(time.Nanosecond)
		want(t, ask(late), 401, nil)

		s := &signer{node: "x"}
		s.keep("old")
		time.Sleep(sign.Fresh)
		if _, n := s.take(); n != "" {
			t.Errorf("the client took the nonce %q", n)
		}
	})
}

// An upload that is not what was signed is not kept, however it differs.
func TestUploadOfSomethingElse(t *testing.T) {
	var failed []error
	f := &fake{add: func(_ context.Context, in io.Reader) (Added, error) {
		_, err := io.Copy(io.Discard, in)
		failed = append(failed, err)
		return Added{CID: "bafyadded"}, err
	}}
	c, _ := publicServer(t, f)
	c = c.Signed(aKey(1))
	for _, second := range []string{"eviL", "evi", "evil and more", ""} {
		texts := []string{"evil", second}
		_, err := c.Upload(t.Context(), "", func(w io.Writer) error {
			text := texts[0]
			texts = texts[1:]
			_, err := io.WriteString(w, text)
			return err
		})
		if CodeOf(err) != CodeUnauthorized || !strings.Contains(err.Error(), "not the one that was signed") {
			t.Errorf("%q: got %v", second, err)
		}
	}
	for _, err := range failed {
		if !errors.Is(err, sign.ErrBody) {
			t.Errorf("the store saw %v", err)
		}
	}
	// What cannot be read is told as it is.
	broken := errors.New("the disk is broken")
	if _, err := c.Upload(t.Context(), "", func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// A client that may not upload is told so before it sends anything.
func TestRefusedUploadIsNotSent(t *testing.T) {
	c, _ := publicServer(t, &fake{})
	written := 0
	_, err := c.Signed(aKey(2)).Upload(t.Context(), "", func(w io.Writer) error {
		n, err := w.Write(make([]byte, 1<<20))
		written += n
		return err
	})
	if CodeOf(err) != CodeForbidden || written > 1<<20 { // the first time is for the digest
		t.Errorf("%d bytes were taken; %v", written, err)
	}
}

// What lets machines into the swarm does not cross a network in the clear.
func TestSecretsStayOnThisMachine(t *testing.T) {
	h := Public(&fake{}, only(aKey(1)), zap.NewNop()).(*signed)
	ask := func(path, from, at string) *httptest.ResponseRecorder {
		req := httptest.NewRequest("POST", path, strings.NewReader("{}"))
		req.RemoteAddr = from
		addr, err := net.ResolveTCPAddr("tcp", at)
		wantNo(t, err)
		req = req.WithContext(context.WithValue(req.Context(), http.LocalAddrContextKey, net.Addr(addr)))
		req.Header.Set("Content-Type", "application/json")
		wantNo(t, sign.SetDigest(req, sha256.Sum256([]byte("{}"))))
		wantNo(t, sign.Request(req, aKey(1), "12D3KooWMe", h.nonces.New()))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		return w
	}
	for _, from := range [][2]string{{"10.0.0.9:5000", "10.0.0.7:1234"}, {"10.0.0.7:5000", "10.0.0.7:1234"}, {"[2001:db8::1]:5000", "[2001:db8::2]:1234"}} {
		w := ask("/v1/tokens", from[0], from[1])
		if w.Code != 403 || !strings.Contains(w.Body.String(), "SSH tunnel") {
			t.Errorf("from %s: %d %s", from[0], w.Code, w.Body)
		}
	}
	for _, from := range [][2]string{{"127.0.0.1:5000", "127.0.0.1:1234"}, {"[::1]:5000", "[::1]:1234"}, {"[::ffff:127.0.0.1]:1", "127.0.0.1:1234"}} {
		if w := ask("/v1/tokens", from[0], from[1]); w.Code != 201 {
			t.Errorf("from %s: %d %s", from[0], w.Code, w.Body)
		}
	}
	// A client does not send them in the first place.
	for base, private := range map[string]bool{"http://127.0.0.1:1": true, "http://[::1]:1": true, "http://localhost:1": true, "https://127.0.0.2:1": true,
		"http://192.0.2.1:1": false, "http://localhost.example.org:1": false, "http://[2001:db8::1]:1": false} {
		c := NewClient(base)
		c.transport().DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("dialled") }
		for _, ask := range []func() error{
			func() error { _, err := c.Signed(aKey(1)).Token(t.Context(), time.Hour); return err },
			func() error { _, err := c.Signed(aKey(1)).Approve(t.Context(), "ABCD-EFGH-JKMN-PQRS-G"); return err },
		} {
			if err := ask(); private != strings.Contains(err.Error(), "dialled") || !private && CodeOf(err) != CodeForbidden {
				t.Errorf("%s: %v", base, err)
			}
		}
	}
	for route := range secret {
		method, path, _ := strings.Cut(route, " ")
		if _, pattern := h.clients.mux.Handler(httptest.NewRequest(method, path, nil)); pattern != route {
			t.Errorf("%s is no route", route)
		}
	}
}

// Whoever is refused again and again is told to wait and fills no log.
func TestRefusalsAreBounded(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	srv := httptest.NewServer(Public(&fake{}, nobody, zap.New(core)))
	defer srv.Close()
	last := response{}
	for range joinsPerAddrAtOnce + 10 {
		last = get(t, srv.URL+"/v1/jobs")
	}
	wantProblem(t, last, 429, CodeRateLimited, "signed with a key")
	if !strings.Contains(string(last.body), "try again in 1s") {
		t.Errorf("got %s", last.body)
	}
	if last.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if n := logged.Len(); n < joinsPerAddrAtOnce || n > joinsPerAddrAtOnce+5 {
		t.Errorf("%d lines in the log", n)
	}
}

// What is the matter with the list is the operator's business alone.
func TestBrokenListIsNotTold(t *testing.T) {
	srv := httptest.NewServer(Public(&fake{}, func(sign.Key) error { return errors.New("/home/ann/list is open") }, zap.NewNop()))
	defer srv.Close()
	for range joinsPerAddrAtOnce + 10 {
		r := ask1(t, signedRequest(t, srv, "GET", "/v1/jobs", ""))
		if r.StatusCode != 500 && r.StatusCode != 429 || strings.Contains(string(r.body), "ann") {
			t.Fatalf("got %s %s", r.Status, r.body)
		}
	}
}

// Headers that are no signature's are refused in words, whatever they hold.
func TestRawRequests(t *testing.T) {
	_, srv := publicServer(t, &fake{})
	for _, raw := range []string{
		"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nSignature: \r\nSignature-Input: \r\n\r\n",
		"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nSignature-Input: shoal=()\r\n\r\n",
		"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nSignature-Input: shoal=(\"@method\"\r\nSignature: shoal=:::\r\n\r\n",
		"GET http://other/v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/jobs HTTP/1.0\r\n\r\n",
		"POST /v1/pins HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		wantNo(t, err)
		_, err = io.WriteString(conn, raw)
		wantNo(t, err)
		line := make([]byte, len("HTTP/1.1 401"))
		_, err = io.ReadFull(conn, line)
		if !strings.HasSuffix(string(line), " 401") || err != nil {
			t.Errorf("%q: got %q, %v", raw, line, err)
		}
		_ = conn.Close()
	}
	// Nobody else's server makes the client send a thing twice, or panic.
	for _, answer := range []string{"", "{}", `{"node":"x"}`, `{"nonce":1}`, "<html>"} {
		n := 0
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			n++
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, answer)
		}))
		if _, err := NewClient(other.URL).Signed(aKey(1)).List(t.Context()); CodeOf(err) != CodeNotShoal {
			t.Errorf("%q: got %v", answer, err)
		}
		other.Close()
		if n != 1 {
			t.Errorf("%q: asked %d times", answer, n)
		}
	}
}

// The certificate of a proxy counts, and authority and scheme may be any.
func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(Public(&fake{}, only(aKey(1)), zaptest.NewLogger(t)))
	srv.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	srv.StartTLS()
	defer srv.Close()
	c := NewClient(srv.URL).Signed(aKey(1))
	if _, err := c.List(t.Context()); CodeOf(err) != CodeNotShoal || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody trusts: %v", err)
	}
	c.transport().TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig
	_, err := c.List(t.Context())
	wantNo(t, err)
	_, plain := publicServer(t, &fake{})
	c = NewClient(strings.Replace(plain.URL, "http://", "https://", 1)).Signed(aKey(1))
	if _, err := c.List(t.Context()); CodeOf(err) != CodeNotShoal || !strings.Contains(err.Error(), "does not speak https") {
		t.Errorf("a node without a proxy: %v", err)
	}
}

// The peers' port is next to that of the API, and what comes from it is noise.
func TestAskingThePeersPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	wantNo(t, err)
	defer l.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1<<16)) // or closing would reset the connection
			_, _ = c.Write([]byte("\x99\xf4\xc3\x03\xd1\x12\x02\xe6\x13\xdb&H\n\xf1\xeb<\xd9+\xf7>\x87"))
			_ = c.Close()
		}
	}()
	_, err = NewClient("http://" + l.Addr().String()).Signed(aKey(1)).List(t.Context())
	if CodeOf(err) != CodeNotShoal || !strings.Contains(err.Error(), "does not speak HTTP. Is the port right?") {
		t.Errorf("the error is %v", err)
	}
	_ = l.Close()
	<-ended
}

// A proxy that ends TLS on the node's machine changes neither path, query nor body.
func TestThroughAProxy(t *testing.T) {
	_, node := publicServer(t, &fake{})
	target, err := url.Parse(node.URL)
	wantNo(t, err)
	proxy := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(target))
	defer proxy.Close()
	c := NewClient(proxy.URL).Signed(aKey(1))
	c.transport().TLSClientConfig = proxy.Client().Transport.(*http.Transport).TLSClientConfig

	_, err = c.Submit(t.Context(), Submission{Spec: aJob("x", job.Done).Spec, Nonce: nonce})
	wantNo(t, err)
	wantNo(t, c.Logs(t.Context(), "k7q2", LogOptions{Follow: true, Stdout: 3}, func(LogChunk) error { return nil }))
	var out bytes.Buffer
	err = c.Tar(t.Context(), "bafy/a folder/50% #1?.txt", &out)
	want(t, out.String(), "tar of bafy/a folder/50% #1?.txt", err)
	added, err := c.Upload(t.Context(), "", func(w io.Writer) error {
		_, err := w.Write(make([]byte, 3<<20))
		return err
	})
	want(t, added.Size, job.Bytes(3<<20), err)
	_, err = c.Token(t.Context(), time.Hour) // the proxy keeps it to itself
	wantNo(t, err)
	if _, err := c.Signed(aKey(2)).Upload(t.Context(), "", func(w io.Writer) error {
		_, err := w.Write(make([]byte, 3<<20))
		return err
	}); CodeOf(err) != CodeForbidden {
		t.Errorf("an unlisted key: %v", err)
	}
}

// The description says how to sign.
func TestOpenAPISaysHowToSign(t *testing.T) {
	_, srv := publicServer(t, &fake{})
	r := ask1(t, signedRequest(t, srv, "GET", "/v1/openapi.json", ""))
	var doc struct {
		Components struct {
			SecuritySchemes map[string]struct{ Type, Description string }
		}
		Security []map[string][]string
		Paths    map[string]map[string]struct{ Security *[]map[string][]string }
	}
	wantNo(t, json.Unmarshal(r.body, &doc))
	if s := doc.Components.SecuritySchemes["signature"]; s.Type == "" || !strings.Contains(s.Description, "RFC 9421") || len(doc.Security) != 1 {
		t.Errorf("got %+v, %v", doc.Components.SecuritySchemes, doc.Security)
	}
	for _, open := range []string{"/v1/id", "/v1/nonce", "/healthz", "/readyz"} {
		if s := doc.Paths[open]["get"].Security; s == nil || len(*s) != 0 {
			t.Errorf("%s: security %v", open, s)
		}
	}
	if s := doc.Paths["/v1/jobs"]["get"].Security; s != nil {
		t.Errorf("/v1/jobs: security %v", s)
	}
}
