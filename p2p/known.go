package p2p

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/durable"
)

const (
	maxKnown      = 256
	maxKnownAddrs = 8
	knownLimit    = 1 << 20 // bytes of the file
	knownVersion  = 1
	knownDelay    = time.Second // joins changes into one write
)

// knownFile is the file in JSON.
type knownFile struct {
	Version int         `json:"version"`
	Peers   []knownPeer `json:"peers"` // last seen first
}

type knownPeer struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"`

	seen uint64 // in which order, not when: clocks may be wrong
}

// knownPeers remembers the peers that were met, in a file if path is set: those
// that have spoken here themselves. Of others anybody can make up as many as would
// push out all that lead back to the swarm.
type knownPeers struct {
	path  string
	dirty chan struct{}

	mu    sync.Mutex
	seen  uint64
	peers map[peer.ID]knownPeer
}

// loadKnown reads the file. A damaged one stops the start rather than being
// thrown away: it may be all that leads back to the swarm.
func loadKnown(path string) (*knownPeers, error) {
	k := &knownPeers{path: path, dirty: make(chan struct{}, 1), peers: make(map[peer.ID]knownPeer)}
	if path == "" {
		return k, nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the remembered peers: %w", err)
	}
	if info.Size() > knownLimit {
		return nil, damagedKnown(path, fmt.Errorf("longer than %d bytes", knownLimit))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the remembered peers: %w", err)
	}
	var f knownFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, damagedKnown(path, err)
	}
	if f.Version != knownVersion {
		return nil, fmt.Errorf("the remembered peers in %s have format %d, and this version of Shoal knows %d: upgrade it, or move the file away to find peers anew", path, f.Version, knownVersion)
	}
	for _, p := range slices.Backward(f.Peers[:min(len(f.Peers), maxKnown)]) {
		info, err := p.info()
		if err != nil {
			return nil, damagedKnown(path, err)
		}
		k.seen++
		p.seen = k.seen
		k.peers[info.ID] = p
	}
	return k, nil
}

func damagedKnown(path string, err error) error {
	return fmt.Errorf("the remembered peers in %s are damaged: move the file away; a bootstrap peer (--peer) or a member will lead to the swarm again: %w", path, err)
}

func (p knownPeer) info() (peer.AddrInfo, error) {
	id, err := peer.Decode(p.ID)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	info := peer.AddrInfo{ID: id}
	for _, s := range p.Addrs[:min(len(p.Addrs), maxKnownAddrs)] {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return peer.AddrInfo{}, err
		}
		info.Addrs = append(info.Addrs, a)
	}
	return info, nil
}

// saw takes note of a live peer.
func (k *knownPeers) saw(p Peer) {
	if len(p.Addrs) == 0 {
		return
	}
	e := knownPeer{ID: p.ID.String()}
	for _, a := range p.Addrs[:min(len(p.Addrs), maxKnownAddrs)] {
		e.Addrs = append(e.Addrs, a.String())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen++
	e.seen = k.seen
	old, ok := k.peers[p.ID]
	k.peers[p.ID] = e
	if len(k.peers) > maxKnown {
		k.dropOldest()
	}
	if !ok || !slices.Equal(old.Addrs, e.Addrs) {
		notify(k.dirty) // a newer place in the order alone is not worth a write
	}
}

func (k *knownPeers) has(id peer.ID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.peers[id]
	return ok
}

func (k *knownPeers) dropOldest() {
	var oldest peer.ID
	for id, p := range k.peers {
		if oldest == "" || p.seen < k.peers[oldest].seen {
			oldest = id
		}
	}
	delete(k.peers, oldest)
}

func (k *knownPeers) sorted() []knownPeer {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make([]knownPeer, 0, len(k.peers))
	for _, p := range k.peers {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b knownPeer) int {
		return cmp.Compare(b.seen, a.seen)
	})
	return out
}

func (k *knownPeers) list() []peer.AddrInfo {
	var out []peer.AddrInfo
	for _, p := range k.sorted() {
		if info, err := p.info(); err == nil {
			out = append(out, info)
		}
	}
	return out
}

func (k *knownPeers) save() error {
	if k.path == "" {
		return nil
	}
	data, err := json.MarshalIndent(knownFile{Version: knownVersion, Peers: k.sorted()}, "", "  ")
	if err == nil {
		err = durable.Replace(k.path, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing the remembered peers to %s: %w", k.path, err)
	}
	return nil
}

// remember writes the file after changes, and when ctx ends.
func (m *Mesh) remember(ctx context.Context) {
	for {
		select {
		case <-m.known.dirty:
			pause(ctx, knownDelay)
		case <-ctx.Done():
		}
		for _, p := range m.roster.Peers() { // those that followRoster has yet to see
			if !p.Self {
				m.known.saw(p)
			}
		}
		if err := m.known.save(); err != nil {
			m.log.Warn("peers will not be remembered", zap.Error(err))
		}
		if ctx.Err() != nil {
			return
		}
	}
}
