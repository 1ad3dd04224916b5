package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/storage"
)

const (
	fetchSize  = 256 << 20
	smallSize  = 4 << 10
	smallFiles = 10_000
	rawStream  = "/shoal/bench/raw/1"
)

// mate is a peer of a private swarm in this process: the host that a node has,
// and a store.
type mate struct {
	mesh *p2p.Mesh
	*storage.Store
}

// mates makes peers that know one another, and end with the run.
func (b *bench) mates(n int) (all []*mate, end func() error, err error) {
	var ends []func() error
	end = func() (err error) {
		for i := len(ends) - 1; i >= 0; i-- {
			if e := ends[i](); err == nil {
				err = e
			}
		}
		return err
	}
	defer func() {
		if err != nil {
			_ = end()
		}
	}()
	key, err := p2p.NewSwarmKey()
	if err != nil {
		return nil, nil, err
	}
	for range n {
		identity, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		m := new(mate)
		if m.mesh, err = p2p.New(p2p.Config{Identity: identity, SwarmKey: &key}, zap.NewNop()); err != nil {
			return nil, nil, err
		}
		ends = append(ends, m.mesh.Close, func() error { return m.Store.Close() })
		if err := b.fresh(m); err != nil {
			return nil, nil, err
		}
		all = append(all, m)
	}
	return all, end, nil
}

// fresh gives a mate an empty store.
func (b *bench) fresh(m *mate) (err error) {
	if m.Store != nil {
		if err := m.Store.Close(); err != nil {
			return err
		}
	}
	m.Store, err = storage.Open(context.Background(), storage.Config{Dir: b.home(), Host: m.mesh.Host(), Routing: m.mesh.Routing()}, zap.NewNop())
	return err
}

func (m *mate) info() peer.AddrInfo {
	return peer.AddrInfo{ID: m.mesh.Host().ID(), Addrs: m.mesh.Host().Addrs()}
}

// fetch measures how fast content comes from peers, beside a plain stream between
// the same two hosts.
func (b *bench) fetch(ctx context.Context, r *report) (err error) {
	all, end, err := b.mates(5)
	if err != nil {
		return err
	}
	defer func() {
		if e := end(); err == nil {
			err = e
		}
	}()
	givers, one, three := all[:3], all[3], all[4]
	data := make([]byte, fetchSize)
	if _, err := rand.Read(data); err != nil {
		return err
	}
	givers[0].mesh.Host().SetStreamHandler(rawStream, func(s network.Stream) {
		defer s.Close()
		_, _ = io.Copy(s, bytes.NewReader(data))
	})
	if err := one.mesh.Host().Connect(ctx, givers[0].info()); err != nil {
		return err
	}
	for _, g := range givers {
		if err := three.mesh.Host().Connect(ctx, g.info()); err != nil {
			return err
		}
	}
	cid, err := b.give(ctx, givers, func(path string) error { return os.WriteFile(path, data, 0o600) })
	if err != nil {
		return err
	}
	var raw, kept, pin, file, from3 sample
	for range b.fetches {
		for _, m := range []struct {
			to *sample
			at *mate
			do func() error
		}{
			{&raw, nil, func() error { return one.raw(ctx, givers[0], io.Discard) }},
			{&kept, nil, func() error { return one.rawToDisk(ctx, givers[0], b.home()) }},
			{&pin, one, func() error { _, err := one.Pin(ctx, cid, ""); return err }},
			{&from3, three, func() error { _, err := three.Pin(ctx, cid, ""); return err }},
			{&file, one, func() error { return one.Fetch(ctx, cid, b.home()) }},
		} {
			if m.at != nil {
				if err := b.fresh(m.at); err != nil {
					return err
				}
			}
			begin := time.Now()
			if err := m.do(); err != nil {
				return err
			}
			*m.to = append(*m.to, time.Since(begin))
		}
	}
	floor := rate(raw) + " (raw libp2p stream)"
	for _, row := range []struct {
		what string
		took sample
	}{
		{"a raw stream of 256 MiB into one file, synced, median", kept},
		{"fetch 256 MiB from one connected peer, into the store, synced, median", pin},
		{"fetch 256 MiB from one connected peer, into the store and a file, median", file},
		{"fetch 256 MiB from three connected peers, into the store, synced, median", from3},
	} {
		r.beside(row.what, rate(row.took), floor, raw.median().Seconds()/row.took.median().Seconds())
	}
	if err := b.firstByte(ctx, r, givers[0], one); err != nil {
		return err
	}
	return b.manyFiles(ctx, r, givers[:1], one)
}

// rate is how much of fetchSize came in a second.
func rate(s sample) string { return fmt.Sprintf("%.0f MB/s", fetchSize/1e6/s.median().Seconds()) }

// raw reads as much over a stream as a fetch does.
func (m *mate) raw(ctx context.Context, from *mate, to io.Writer) error {
	s, err := m.mesh.Host().NewStream(ctx, from.mesh.Host().ID(), rawStream)
	if err != nil {
		return err
	}
	n, err := io.Copy(to, s)
	if err == nil && n != fetchSize {
		err = fmt.Errorf("%d bytes came over a raw stream", n)
	}
	return err
}

// rawToDisk is raw that keeps what comes: what the disk costs without a store.
func (m *mate) rawToDisk(ctx context.Context, from *mate, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	// Behind a buffer as large as a block, and not by the file's own ReadFrom.
	w := bufio.NewWriterSize(struct{ io.Writer }{f}, 1<<20)
	err = m.raw(ctx, from, struct{ io.Writer }{w})
	if err == nil {
		err = w.Flush()
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// give has peers store what make makes, and returns its CID.
func (b *bench) give(ctx context.Context, givers []*mate, make func(path string) error) (cid string, err error) {
	path := b.home()
	if err := make(path); err != nil {
		return "", err
	}
	defer os.RemoveAll(path)
	for _, g := range givers {
		if cid, _, err = g.Put(ctx, path, ""); err != nil {
			return "", err
		}
	}
	return cid, nil
}

// firstByte measures all of fetching a file of 4 KiB, to its place on the disk.
func (b *bench) firstByte(ctx context.Context, r *report, giver, taker *mate) error {
	for _, c := range []struct {
		what    string
		prepare func() error
	}{
		{"all of a file of 4 KiB from a connected peer, median / p90", func() error { return nil }},
		{"all of a file of 4 KiB from a named provider that is not connected, median / p90", func() error { return part(ctx, giver, taker) }},
	} {
		var s sample
		for range b.runs {
			cid, err := b.give(ctx, []*mate{giver}, func(path string) error {
				data := make([]byte, smallSize)
				_, _ = rand.Read(data)
				return os.WriteFile(path, data, 0o600)
			})
			if err != nil {
				return err
			}
			if err := c.prepare(); err != nil {
				return err
			}
			begin := time.Now()
			if err := taker.FetchFrom(ctx, cid, b.home(), giver.info()); err != nil {
				return err
			}
			s = append(s, time.Since(begin))
		}
		r.add(c.what, s.String())
	}
	return nil
}

// part ends the connection between two peers, at both.
func part(ctx context.Context, a, b *mate) error {
	if err := a.mesh.Host().Network().ClosePeer(b.mesh.Host().ID()); err != nil {
		return err
	}
	for a.mesh.Host().Network().Connectedness(b.mesh.Host().ID()) == network.Connected || b.mesh.Host().Network().Connectedness(a.mesh.Host().ID()) == network.Connected {
		if err := rest(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// manyFiles measures a folder of small files, each of which is a block.
func (b *bench) manyFiles(ctx context.Context, r *report, givers []*mate, taker *mate) error {
	cid, err := b.give(ctx, givers, func(path string) error {
		for i := range smallFiles {
			dir := filepath.Join(path, fmt.Sprint(i%100))
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), fmt.Append(nil, "file ", i), 0o600); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	begin := time.Now()
	if _, err := taker.Pin(ctx, cid, ""); err != nil {
		return err
	}
	took := time.Since(begin)
	r.add(fmt.Sprintf("fetch a folder of %d small files, into the store, synced", smallFiles), fmt.Sprintf("%s, %.0f files/s", ms(took), smallFiles/took.Seconds()))
	return nil
}
