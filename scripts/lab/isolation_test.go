//go:build lab

package lab

import (
	"testing"
	"time"
)

// nobodys is the CID of something that is in none of the swarms here.
const nobodys = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"

// TestNothingLeaves watches a private swarm through its life, and then for two
// minutes in which nothing happens: every packet of its members is for a member.
func TestNothingLeaves(t *testing.T) {
	t.Parallel()
	for name, network := range map[string]func(*testing.T) *lan{"ipv4": newLAN, "ipv4 and ipv6": newDualLAN} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nothingLeaves(network(t))
		})
	}
}

func nothingLeaves(l *lan) {
	nodes := l.swarm("a", "b", "c")
	a, b, c := nodes[0], nodes[1], nodes[2]

	b.write("books/one.txt", "the whale the whale the sea\n")
	cid := firstWord(b.sh("node add books"))
	if got := c.sh("node cat " + cid + "/one.txt"); got != "the whale the whale the sea\n" {
		l.Errorf("c read %q", got)
	}
	c.fails(1, "node cat "+nobodys, nobodys+" was not found", "2 connected peers")
	c.copy("../../examples/tiny/tiny.wasm", "tiny.wasm")
	c.write("job.yaml", "task:\n  wasm: {module: ./tiny.wasm}\n  args: [world]\nresources: {cpu: 100m, memory: 16MiB}\n")
	c.sh("node submit job.yaml --wait")

	rest(l.T, 2*time.Minute)
	knows(nodes...)

	c.stop() // says goodbye to members
	b.kill() // and these are looked for
	knows(a)
	b.serve("node serve") // and come back by what they remember
	a.stop()
	l.sealed(hostsOf(nodes...)...)

	// This was seen by something that sees.
	if conn, err := a.dial(l.Context(), "udp4", "192.0.2.1:9"); err != nil {
		l.Error(err)
	} else {
		_, err = conn.Write([]byte("probe"))
		conn.Close()
		if lines, _ := l.leaks(hostsOf(nodes...)...); err != nil || len(lines) == 0 {
			l.Errorf("a packet to 192.0.2.1 was not seen (%v)", err)
		}
	}
}
