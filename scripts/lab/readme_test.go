//go:build lab

package lab

import (
	"regexp"
	"strings"
	"testing"
)

// TestReadme types the README's lines at three machines as they stand there, with
// the default ports and the addresses that these machines have.
func TestReadme(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	a, b, c := l.host("a"), l.host("b"), l.host("c")
	na := a.serve("node serve --private --initial --label site=attic")
	nb := b.serve(na.joinLine) // SHOAL_TOKEN=shoal1… node serve --join 10.0.0.1
	token, _, _ := strings.Cut(na.joinLine, " ")
	nc := c.serve(token + " node serve --private --peer /ip4/10.0.0.1/tcp/1234/http")
	knows(na, nb, nc)
	if !strings.HasSuffix(na.joinLine, "node serve --join 10.0.0.1") {
		t.Errorf("a machine joins with %q", na.joinLine)
	}

	// Give it data and work, at any node.
	c.copy("../../examples/wordcount/wordcount.wasm", "wordcount.wasm")
	c.write("books/one.txt", "the whale the whale the sea\n")
	c.write("job.yaml", `
name: wordcount
task:
  wasm: {module: ./wordcount.wasm}
  args: [--top, "10", --out, /outputs/counts, /inputs/books]
inputs:
  - {from: ./books, at: /inputs/books}
outputs:
  - {name: counts, at: /outputs/counts}
resources: {cpu: 500m, memory: 128MiB}
where: site=attic
timeout: 2m
`)
	books := firstWord(c.sh("node add ./books"))
	job := firstWord(c.sh("node submit job.yaml --follow"))
	short := job[:6]
	b.prints("node list", "wordcount", "done")
	b.prints("node describe "+short, "done", "site=attic")
	b.prints("node logs "+short, "whale")
	b.prints("node peers", "site=attic")
	b.sh("node get " + short + " -o out")
	b.prints("cat out/counts/counts.tsv", "whale")
	b.sh("node get ipfs://" + books + " -o books")
	b.prints("cat books/one.txt", "the whale the whale the sea")

	// A node that was a member once needs nothing but this.
	nb.stop()
	knows(na, nc)
	nb = b.serve("node serve --label role=worker")
	nc.stop()
	nc = c.serve("node serve --label role=worker")
	knows(na, nb, nc)

	// The executor of a job dies; another one does it.
	a.guest()
	a.write("long.yaml", "task:\n  wasm: {module: ./guest.wasm}\n  args: [print, begun, sleep, '3000', print, ended]\nwhere: role=worker\n")
	long := firstWord(a.sh("node submit long.yaml"))
	executor := na.runs(long, nb, nc)
	executor.kill()
	a.sh("node wait " + long)
	a.prints("node describe "+long+" -o json", `"attempt": 2`)
	if out := a.sh("node logs " + long); out != "begun\nended\n" {
		t.Errorf("its output: %q", out)
	}

	// A machine without a token shows a code, which any member can let in.
	d := l.host("d")
	waits := d.start("node serve --join 10.0.0.1")
	waits.says("node join approve ")
	other := nb
	if executor == nb {
		other = nc
	}
	other.sh(approveLine.FindString(waits.out.String() + waits.log.String()))
	knows(na, other, waits.serving())
	l.sealed(a, b, c, d)
}

var approveLine = regexp.MustCompile(`node join approve \S+`)
