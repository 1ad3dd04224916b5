package node

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// directory remembers who announced which ledger, so that a job whose owner is
// away just now is told from one that nobody knows. The zero value is ready.
type directory struct {
	mu    sync.Mutex
	owner map[string]peer.ID
}

// maxLedgers bounds a directory. Beyond it a job of a peer that is away looks
// unknown, which is all that is lost.
const maxLedgers = 10_000

func (d *directory) note(p p2p.Peer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owner == nil {
		d.owner = map[string]peer.ID{}
	}
	for _, l := range p.Ledgers {
		if _, known := d.owner[l]; known || len(d.owner) < maxLedgers {
			d.owner[l] = p.ID
		}
	}
}

// away is a peer that is not live and announced a ledger which may hold a job
// with this prefix.
func (d *directory) away(prefix string, live *p2p.Roster) (job.PeerID, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for l, id := range d.owner {
		if _, here := live.Get(id); !here && mayHold([]string{l}, prefix) {
			return job.PeerID(id.String()), true
		}
	}
	return "", false
}
