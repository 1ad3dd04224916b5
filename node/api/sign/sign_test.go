package sign

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

const (
	aNode  = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
	aNonce = "AAAAAAAAAAAAAAAAAAAAAQAAAAAAAAAAAAAAAAAAAAA"
)

func aKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

// request is a signed one, as a server sees it.
func request(t *testing.T, method, target, contentType, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	if body != "" {
		r = httptest.NewRequest(method, target, strings.NewReader(body))
		if err := SetDigest(r, sha256.Sum256([]byte(body))); err != nil {
			t.Fatal(err)
		}
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if err := Request(r, aKey(1), aNode, aNonce); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRoundTrip(t *testing.T) {
	for _, c := range []struct{ method, target, contentType, body string }{
		{"GET", "/", "", ""},
		{"GET", "/v1/jobs", "", ""},
		{"GET", "/v1/jobs/k7q2/logs?follow=true&stdout=3", "", ""},
		{"GET", "/v1/ipfs/bafy/a%20b%2Fc%3F?format=raw", "", ""},
		{"DELETE", "/v1/pins/bafy", "", ""},
		{"POST", "/v1/jobs", "application/json", `{"spec":{}}`},
		{"POST", "/v1/add", "application/x-tar", strings.Repeat("x", 1<<20)},
	} {
		r := request(t, c.method, c.target, c.contentType, c.body)
		s, err := Read(r)
		if err != nil {
			t.Errorf("%s %s: %v", c.method, c.target, err)
			continue
		}
		if err := s.Verify(); err != nil || s.Key != KeyOf(aKey(1)) || s.Node != aNode || s.Nonce != aNonce {
			t.Errorf("%s %s: %v, %+v", c.method, c.target, err, s)
		}
		if got, err := io.ReadAll(s.Body(r.Body)); err != nil || string(got) != c.body {
			t.Errorf("%s %s: the body has %d bytes, %v", c.method, c.target, len(got), err)
		}
	}
}

// The example of a signature base in the profile's own terms: what a client in
// another language has to arrive at.
type vector struct {
	Seed    string      `json:"seed_hex"` // of the private key (RFC 8032)
	KeyID   string      `json:"keyid"`
	Method  string      `json:"method"`
	Target  string      `json:"target"`
	Body    string      `json:"body"`
	Headers http.Header `json:"headers"`
	Base    string      `json:"signature_base"`
}

var update = flag.Bool("update", false, "write the vectors anew")

func TestVectors(t *testing.T) {
	const file = "testdata/vector.json"
	var vectors []vector
	for _, c := range []struct{ method, target, contentType, body string }{
		{"GET", "/v1/jobs/k7q2e/logs?follow=true&stdout=3", "", ""},
		{"GET", "/v1/ipfs/bafy/a%20folder/50%25%20%231%3F.txt?format=raw", "", ""},
		{"POST", "/v1/pins", "application/json", `{"cid":"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"}`},
	} {
		r := request(t, c.method, c.target, c.contentType, c.body)
		s, err := Read(r)
		if err != nil {
			t.Fatal(err)
		}
		vectors = append(vectors, vector{strings.Repeat("01", 32), KeyOf(aKey(1)).String(), c.method, c.target, c.body, r.Header, string(s.base)})
	}
	got, err := json.MarshalIndent(vectors, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o777), os.WriteFile(file, got, 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, got) {
		t.Errorf("what this package signs is not what %s says: clients in other languages would be refused\n%s", file, got)
	}
}

// A library that signs in another order, with a label of its own and with a time,
// is understood as well.
func TestOtherClients(t *testing.T) {
	r := httptest.NewRequest("POST", "/v1/pins?x=1", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Shoal-Node", aNode)
	r.Header.Set("Content-Digest", "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:")
	params := `("@query" "content-type" "content-digest" "shoal-node" "@path" "@method");created=1618884473;expires=1618884573;nonce="` + aNonce + `";tag="shoal";keyid="` + KeyOf(aKey(1)).String() + `"`
	text := "\"@query\": ?x=1\n\"content-type\": application/json\n\"content-digest\": sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:\n" +
		"\"shoal-node\": " + aNode + "\n\"@path\": /v1/pins\n\"@method\": POST\n\"@signature-params\": " + params
	r.Header.Set("Signature-Input", "pyhms="+params)
	r.Header.Set("Signature", "pyhms=:"+base64.StdEncoding.EncodeToString(ed25519.Sign(aKey(1), []byte(text)))+":")
	s, err := Read(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(); err != nil {
		t.Errorf("%v; the base is\n%s", err, s.base)
	}
}

func TestRefusedBeforeAnyCryptography(t *testing.T) {
	if _, err := Read(httptest.NewRequest("GET", "/", nil)); !errors.Is(err, ErrUnsigned) {
		t.Errorf("got %v", err)
	}
	for says, spoil := range map[string]func(*http.Request){
		"must be there once":        func(r *http.Request) { r.Header.Add("Signature", r.Header.Get("Signature")) },
		"longer than":               func(r *http.Request) { r.Header.Set("Signature-Input", "shoal="+strings.Repeat("(", 3<<10)) },
		"no dictionary":             func(r *http.Request) { r.Header.Set("Signature-Input", `shoal=("@method"`) },
		"no list of components":     func(r *http.Request) { r.Header.Set("Signature-Input", `shoal="@method"`) },
		"do not belong together":    func(r *http.Request) { r.Header.Set("Signature", `x=:AAAA:`) },
		"64 bytes":                  func(r *http.Request) { r.Header.Set("Signature", `shoal=:AAAA:`) },
		"has a body and no":         func(r *http.Request) { r.Header.Del("Content-Digest") },
		"not of sha-256":            func(r *http.Request) { r.Header.Set("Content-Digest", "sha-512=:AAAA:") },
		"not the one that was":      func(r *http.Request) { r.ContentLength = 0 },
		"does not cover":            func(r *http.Request) { swap(r, `"@query" `, ``) },
		"and only these can be":     func(r *http.Request) { r.Header.Del("Content-Type") },
		"twice":                     func(r *http.Request) { swap(r, `"@query"`, `"@query" "@query"`) },
		"no plain name":             func(r *http.Request) { swap(r, `"@query"`, `"@query";req`) },
		"its tag is not":            func(r *http.Request) { swap(r, `"shoal"`, `"other"`) },
		"its algorithm is not":      func(r *http.Request) { swap(r, `"ed25519"`, `"rsa-v1_5-sha256"`) },
		"it has no nonce":           func(r *http.Request) { swap(r, `nonce="`+aNonce+`"`, `nonce=1`) },
		"it is no key":              func(r *http.Request) { swap(r, `keyid="12D3`, `keyid="13D3`) },
		"holds a control character": func(r *http.Request) { r.Header.Set("Content-Type", "a\nb") },
	} {
		r := request(t, "POST", "/v1/pins?x=1", "application/json", "{}")
		spoil(r)
		if _, err := Read(r); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %q, want %q", err, says)
		}
	}
	r := httptest.NewRequest("POST", "/", strings.NewReader("x"))
	if err := Request(r, aKey(1), aNode, aNonce); err == nil {
		t.Error("a body was signed without its digest")
	}
}

func swap(r *http.Request, old, with string) {
	v := r.Header.Get("Signature-Input")
	if !strings.Contains(v, old) {
		panic(v + " has no " + old)
	}
	r.Header.Set("Signature-Input", strings.Replace(v, old, with, 1))
}

// FuzzRead: no header panics, and what verifies is what was signed: whatever else
// the headers say, the key's owner signed for this method, path and query.
func FuzzRead(f *testing.F) {
	r := httptest.NewRequest("GET", "/v1/jobs?a=b", nil)
	if err := Request(r, aKey(1), aNode, aNonce); err != nil {
		f.Fatal(err)
	}
	good := [2]string{r.Header.Get("Signature-Input"), r.Header.Get("Signature")}
	f.Add("GET", "/v1/jobs?a=b", good[0], good[1], "", "")
	f.Add("GET", "/v1/jobs?a=b", good[0]+";created=1", good[1], "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", "text/plain")
	f.Add("POST", "/v1/pins", `a=("@method" "@path");x=?1;y=1.5;z=@1;w=%"a"`, "a=:AAAA:", "sha-256=:AA==:", "")
	f.Add("GET", "/", `*=()`, `*`, "", "")
	f.Fuzz(func(t *testing.T, method, target, input, signature, digest, contentType string) {
		r, err := http.NewRequest(method, target, nil)
		if err != nil {
			return
		}
		r.Header = http.Header{"Shoal-Node": {aNode}}
		for name, v := range map[string]string{"Signature-Input": input, "Signature": signature, "Content-Digest": digest, "Content-Type": contentType} {
			if v != "" {
				r.Header[name] = []string{v}
			}
		}
		s, err := Read(r)
		if err != nil {
			return
		}
		if s.Verify() == nil && s.Key == KeyOf(aKey(1)) && (method != "GET" || r.URL.EscapedPath() != "/v1/jobs" || r.URL.RawQuery != "a=b" || digest+contentType != "") {
			t.Errorf("%s %s was never signed, and verifies", method, target)
		}
	})
}
