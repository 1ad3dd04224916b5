package cli

import (
	"bytes"
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/node"
	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

func TestBanner(t *testing.T) {
	alone := node.Offer{
		ID:      api.ID{Peer: here, Addrs: []string{"/ip4/127.0.0.1/tcp/1235/p2p/" + here}, Version: "1.0.0"},
		Room:    job.Room{CPU: 2000, Memory: 3 << 29},
		Engines: []string{"wasmer 2.0.0"},
		API:     "127.0.0.1:1234",
	}
	founder := alone
	founder.ID.Private, founder.ID.Swarm = true, "4f2a9c"
	founder.Engines = nil
	founder.Missing = []string{"WebAssembly jobs: the self-test failed: no memory"}
	founder.Labels = map[string]string{"site": "attic", "os": "linux"}
	founder.Join = &api.Token{Line: "SHOAL_TOKEN=shoal1x node serve --join 10.0.0.7", Expires: time.Now().Add(time.Hour)}

	member := alone
	member.ID, member.Join = founder.ID, founder.Join

	tests := []struct {
		name, called, home string
		offer              node.Offer
		token              bool
		want               string
	}{
		{"alone", "node", "", alone, false, `Shoal 1.0.0 is ready: a node of a swarm of one, on loopback.
  peer    12D3KooWMeetsTheEyeOnThisSideXVgk2y8Q
  offers  cpu 2, memory 1.5 GiB; wasmer 2.0.0
  API     127.0.0.1:1234

Now, in another terminal:
  node submit examples/wordcount/job.yaml --follow
  (or shoal …)
`},
		{"alone, elsewhere", "shoal", "/srv/my shoal", alone, false, `Shoal 1.0.0 is ready: a node of a swarm of one, on loopback.
  peer    12D3KooWMeetsTheEyeOnThisSideXVgk2y8Q
  offers  cpu 2, memory 1.5 GiB; wasmer 2.0.0
  API     127.0.0.1:1234

Now, in another terminal:
  shoal submit examples/wordcount/job.yaml --follow --home '/srv/my shoal'
  (or node …)
`},
		{"member, into a log", "shoal", "/srv/x", member, false, `Shoal 1.0.0 is ready: a node of the private swarm 4f2a9c.
  peer    12D3KooWMeetsTheEyeOnThisSideXVgk2y8Q
  offers  cpu 2, memory 1.5 GiB; wasmer 2.0.0
  API     127.0.0.1:1234

The next machine joins with a line that this prints:
  shoal token create --home /srv/x
  (or node …)
`},
		{"founder", "node", "", founder, true, `Shoal 1.0.0 is ready: a node of the private swarm 4f2a9c.
  peer     12D3KooWMeetsTheEyeOnThisSideXVgk2y8Q
  offers   cpu 2, memory 1.5 GiB; it runs no jobs
  without  WebAssembly jobs: the self-test failed: no memory
  labels   os=linux site=attic
  API      127.0.0.1:1234

The next machine joins with this line, which is good for 1h:
  SHOAL_TOKEN=shoal1x node serve --join 10.0.0.7
  (or shoal …)
`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			p := &program{name: test.called, home: test.home, out: &out}
			p.banner(test.offer, test.token)
			if got := out.String(); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}
