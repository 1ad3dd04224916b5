//go:build lab

package lab

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestStrangers sets machines that are not in a swarm beside it: one whose node
// has no key, one whose node has another, and one that talks to ports by hand.
// They have what an attacker on the LAN has: the members' addresses and IDs.
func TestStrangers(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	members := l.swarm("a", "b")
	a, b := members[0], members[1]
	a.write("secret.txt", "the combination is 1-2-3-4-5\n")
	cid := firstWord(a.sh("node add secret.txt"))

	keyless := l.host("keyless").serve("node serve --peer " + a.p2p + " --peer " + b.p2p)
	other := l.host("other")
	alien := other.serve("node serve --private --initial")
	alien.stop()
	foreign := other.serve("node serve --private --peer " + a.p2p + " --peer " + b.p2p)

	// What they are told. A member that cannot read what they say hangs up, or
	// waits for more of it.
	foreign.says("wrong or missing swarm key", "has another swarm key than")
	keyless.says("wrong or missing swarm key", "needs a swarm key, and this node has none")
	byHand := l.host("byhand")
	stolen, _, _ := strings.Cut(alien.joinLine, " ") // a good token, of another swarm
	byHand.fails(2, stolen+" node serve --join "+a.addr.String(), "token")
	byHand.fails(2, "node serve --peer "+a.http, "private swarm")

	// What they get: the members go on talking, adding and running meanwhile.
	var work sync.WaitGroup
	for _, n := range []*node{keyless, foreign} {
		work.Go(func() { n.fails(1, "node cat "+cid, "was not found", "no peer is connected that could have it") })
	}
	work.Go(func() { byHand.listensIn(a.host); byHand.asksHTTP(a.host) })
	b.copy("../../examples/tiny/tiny.wasm", "tiny.wasm")
	b.write("job.yaml", "task:\n  wasm: {module: ./tiny.wasm}\n  args: [world]\nresources: {cpu: 100m, memory: 16MiB}\n")
	for range 3 {
		b.sh("node submit job.yaml --wait")
	}
	if got := b.sh("node cat " + cid); !strings.HasPrefix(got, "the combination") {
		t.Errorf("the member b read %q", got)
	}
	work.Wait()

	for _, n := range []*node{keyless, foreign} {
		if roster := n.roster(t.Context()); !slices.Equal(roster, []string{n.id}) {
			t.Errorf("%s knows %v, itself being %s", n.name, roster, n.id)
		}
		if jobs := n.sh("node list -o json"); strings.Contains(jobs, "submitter") {
			t.Errorf("%s knows jobs: %s", n.name, jobs)
		}
	}
	knows(members...)
	// The members say who came without the key, and speak of nobody else.
	for _, ip := range []string{keyless.addr.String(), foreign.addr.String()} {
		for _, m := range members {
			m.says(`"a machine without this swarm's key connects to the port of its peers: a node that has another key or none, or no node at all; if it is to join, start it with a token","ip":"` + ip + `"`)
		}
	}
	for _, m := range members {
		for _, s := range []*node{keyless, foreign} {
			if strings.Contains(m.log.String(), s.id) {
				t.Errorf("%s took %s for a peer:\n%s", m.name, s.name, m.log.String())
			}
		}
		for _, other := range members {
			if strings.Contains(m.log.String(), `"ip":"`+other.addr.String()) {
				t.Errorf("%s accuses the member %s:\n%s", m.name, other.name, m.log.String())
			}
		}
	}
	// Members answer on the connections that strangers open; they open none.
	l.sealed(a.host, b.host)
}

// listensIn connects to the port at which members talk and reads what comes: it
// must be too little and too random to be anything.
func (h *host) listensIn(member *host) {
	h.Helper()
	conn, err := h.dial(h.Context(), "tcp4", member.addr.String()+":1235")
	if err != nil {
		h.Errorf("connecting to %s: %v", member.name, err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = conn.Write([]byte("\x13/multistream/1.0.0\n\x07/noise\n"))
	heard, err := io.ReadAll(io.LimitReader(conn, 4096))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		h.Errorf("%s keeps a stranger's connection for 20 s", member.name)
	}
	if len(heard) > 256 {
		h.Errorf("a stranger heard %d bytes from %s", len(heard), member.name)
	}
	for _, word := range []string{"multistream", "noise", "libp2p", "shoal", "ipfs"} {
		if bytes.Contains(heard, []byte(word)) {
			h.Errorf("a stranger heard %q from %s", heard, member.name)
		}
	}
	h.Logf("a stranger at the port of peers heard %d bytes, then: %v", len(heard), err)
}

// asksHTTP asks the member's HTTP API for everything that a member can.
func (h *host) asksHTTP(member *host) {
	h.Helper()
	browser := h.browser()
	ask := func(method, path string) int {
		r, err := http.NewRequestWithContext(h.Context(), method, "http://"+net.JoinHostPort(member.addr.String(), "1234")+path, strings.NewReader(""))
		if err != nil {
			h.Fatal(err)
		}
		resp, err := browser.Do(r)
		if err != nil {
			h.Errorf("%s %s: %v", method, path, err)
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, path := range []string{"/v1/id", "/healthz", "/readyz"} {
		if code := ask("GET", path); code != 200 {
			h.Errorf("GET %s: %d, want 200", path, code)
		}
	}
	for _, q := range []string{
		"GET /v1/jobs", "POST /v1/jobs", "GET /v1/jobs/a", "POST /v1/jobs/a/cancel", "GET /v1/jobs/a/watch", "GET /v1/jobs/a/logs",
		"POST /v1/add", "GET /v1/ipfs/" + nobodys, "GET /v1/pins", "POST /v1/pins", "DELETE /v1/pins/" + nobodys, "GET /v1/peers", "POST /v1/tokens",
		"GET /api.sock", "GET /swarm.key", "GET /../swarm.key", "GET /debug/pprof/", "GET /metrics",
	} {
		method, path, _ := strings.Cut(q, " ")
		if code := ask(method, path); code < 400 || code >= 500 {
			h.Errorf("%s: %d to a stranger", q, code)
		}
	}
}
