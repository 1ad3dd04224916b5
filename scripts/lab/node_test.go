//go:build lab

package lab

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// node is a node that runs at a host, with the ports and the home of a machine
// that has no other.
type node struct {
	*process
	client *api.Client // its owner's
	id     string
	p2p    string // its multiaddr at the host's address
	http   string // of its HTTP API, likewise
	// joinLine is what it printed for the next machine, "" if nothing.
	joinLine string
}

var (
	bannerPeer = regexp.MustCompile(`(?m)^ +peer +(\S+)$`)
	bannerJoin = regexp.MustCompile(`(?m)^ +(SHOAL_TOKEN=\S+ node serve --join \S+)$`)
)

// serve starts a node by the line with which one starts it there, and waits until
// it has said that it is ready.
func (h *host) serve(line string) *node {
	h.Helper()
	return h.start(line).serving()
}

// serving waits until a node that was started has said that it is ready.
func (p *process) serving() *node {
	p.Helper()
	h := p.host
	n := &node{process: p, client: api.NewClient(filepath.Join(h.home(), "api.sock"))}
	n.says(" is ready: ")
	n.until("it has said all that it says at first", func(context.Context) bool { return strings.HasSuffix(n.out.String(), " …)\n") })
	banner := n.out.String()
	peer := bannerPeer.FindStringSubmatch(banner)
	if peer == nil {
		h.Fatalf("%s$ %s does not say which peer it is:\n%s", h.name, p.line, banner)
	}
	n.id = peer[1]
	n.p2p = "/ip4/" + h.addr.String() + "/tcp/1235/p2p/" + n.id
	n.http = "/ip4/" + h.addr.String() + "/tcp/1234/http"
	if m := bannerJoin.FindStringSubmatch(banner); m != nil {
		n.joinLine = m[1]
	}
	return n
}

// roster is the IDs of the peers that a node knows, its own among them.
func (n *node) roster(ctx context.Context) []string {
	peers, err := n.client.Peers(ctx)
	if err != nil {
		return nil
	}
	var out []string
	for _, p := range peers {
		out = append(out, string(p.ID))
	}
	return out
}

// knows waits until every one of the nodes has exactly these nodes in its roster,
// and an offer of room from each.
func knows(nodes ...*node) {
	var want []string
	for _, n := range nodes {
		want = append(want, n.id)
	}
	slices.Sort(want)
	for _, n := range nodes {
		n.Helper()
		n.until("knows all members", func(ctx context.Context) bool {
			peers, err := n.client.Peers(ctx)
			offers := !slices.ContainsFunc(peers, func(p api.Peer) bool { return p.Free == nil })
			roster := n.roster(ctx)
			slices.Sort(roster)
			return err == nil && offers && slices.Equal(roster, want)
		})
	}
}

// swarm founds a private swarm and has each further host join it by the line that
// the founder prints.
func (l *lan) swarm(names ...string) []*node {
	l.Helper()
	nodes := []*node{l.host(names[0]).serve("node serve --private --initial")}
	for _, name := range names[1:] {
		nodes = append(nodes, l.host(name).serve(nodes[0].joinLine))
	}
	knows(nodes...)
	return nodes
}

// hostsOf are the machines that nodes run at.
func hostsOf(nodes ...*node) []*host {
	var out []*host
	for _, n := range nodes {
		out = append(out, n.host)
	}
	return out
}

// dial opens a connection from the host.
func (h *host) dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = within(h.netns, func() error {
		var d net.Dialer
		var err error
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// browser asks HTTP servers from the host.
func (h *host) browser() *http.Client {
	t := &http.Transport{DialContext: h.dial, DisableKeepAlives: true}
	h.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: 10 * time.Second}
}

// copy copies a file of the repository, which make may have to build, into the
// host's folder.
func (h *host) copy(from, to string) {
	h.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		h.Fatalf("%v; run make lab, which builds it", err)
	}
	h.write(to, string(b))
}

// guest compiles the guest that does what its arguments say into the host's
// folder, as guest.wasm.
func (h *host) guest() {
	h.Helper()
	source, err := filepath.Abs("../../node/testdata/guest.c")
	if err != nil {
		h.Fatal(err)
	}
	h.sh("clang --target=wasm32-wasi -Os -s -nodefaultlibs -lc -o guest.wasm " + source)
}

// runs waits until a job runs and returns the node that runs it.
func (n *node) runs(id string, among ...*node) (executor *node) {
	n.Helper()
	n.until("it says that job "+id+" runs", func(ctx context.Context) bool {
		j, err := n.client.Job(ctx, id)
		if err != nil || j.State() != job.Running {
			return false
		}
		for _, other := range among {
			if other.id == string(j.Tasks[0].Executor) {
				executor = other
			}
		}
		return executor != nil
	})
	return executor
}

func firstWord(s string) string {
	words := strings.Fields(s)
	if len(words) == 0 {
		return ""
	}
	return words[0]
}
