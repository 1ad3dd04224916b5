//go:build lab

package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestIPFS has an unmodified Kubo, which has the swarm's key and the address of one
// member, fetch from the swarm by CID, and the swarm from it.
func TestIPFS(t *testing.T) {
	t.Parallel()
	if err := buildKubo(); err != nil {
		t.Fatal(err)
	}
	l := newLAN(t)
	nodes := l.swarm("a", "b", "c")
	a, b, c := nodes[0], nodes[1], nodes[2]
	kubo := l.host("kubo")
	k := kubo.ipfs(a)

	// From the swarm.
	a.sh(`mkdir -p data/sub/deeper && cd data && echo hello >hello.txt && : >empty && ln -s hello.txt link &&
		head -c 7000000 /dev/urandom >'sub/seven million bytes' && head -c 1048576 /dev/urandom >sub/deeper/chunk`)
	data := firstWord(a.sh("node add data"))
	kubo.sh("ipfs get -o data " + data)
	kubo.sh("diff -r --no-dereference data ../a/data")
	if got := kubo.sh("ipfs cat " + data + "/hello.txt"); got != "hello\n" {
		t.Errorf("Kubo read %q", got)
	}
	// What is at another member, Kubo finds through the DHT.
	c.write("far.txt", "far away\n")
	if got := kubo.sh("ipfs cat " + firstWord(c.sh("node add far.txt"))); got != "far away\n" {
		t.Errorf("Kubo read %q", got)
	}

	// The same content has the same name in both, a folder of many entries too.
	kubo.sh("ipfs config profile apply unixfs-v1-2025")
	a.sh(`mkdir many && cd many && for i in $(seq 4000); do echo $i >"a name that is long enough to make the folder as large as one that is split $i"; done`)
	for dir, cid := range map[string]string{"data": data, "many": firstWord(a.sh("node add many"))} {
		for _, line := range []string{"ipfs add -r -Q ", "ipfs add -r -Q --cid-version=1 --raw-leaves --chunker=size-1048576 "} {
			if same := firstWord(kubo.sh(line + "../a/" + dir)); same != cid {
				t.Errorf("%s%s is %s, and to Shoal it is %s", line, dir, same, cid)
			}
		}
	}

	// To the swarm: to a, which Kubo has dialled, to c, which finds it through the
	// DHT, and to b, which is told to dial Kubo.
	kubo.sh("for f in theirs others more; do head -c 3000000 /dev/urandom >$f; done; mkdir folder && echo there >folder/file && : >folder/empty")
	theirs, folder := firstWord(kubo.sh("ipfs add -Q theirs")), firstWord(kubo.sh("ipfs add -r -Q folder"))
	a.sh("node get ipfs://" + theirs + " -o theirs")
	a.sh("cmp theirs ../kubo/theirs")
	a.sh("node get ipfs://" + folder + " -o folder")
	a.sh("diff -r folder ../kubo/folder")
	c.sh("node cat " + firstWord(kubo.sh("ipfs add -Q more")) + " >more")
	c.sh("cmp more ../kubo/more")
	b.stop()
	b = b.serve("node serve --peer " + k.p2p)
	k.connected(b)
	b.sh("node cat " + firstWord(kubo.sh("ipfs add -Q others")) + " >others")
	b.sh("cmp others ../kubo/others")

	// It is no Shoal peer, and nobody takes it for one or complains.
	knows(a, b, c)
	for _, n := range []*node{a, b, c} {
		for line := range strings.Lines(n.log.String()) {
			if strings.Contains(line, k.id) {
				t.Errorf("%s speaks of Kubo: %s", n.name, line)
			}
		}
		known, err := os.ReadFile(filepath.Join(n.home(), "peers.json"))
		if err != nil || strings.Contains(string(known), k.id) {
			t.Errorf("%s remembers Kubo as a peer: %s (%v)", n.name, known, err)
		}
	}
	l.sealedAmong(hostsOf(a, b, c), []*host{kubo})
}
