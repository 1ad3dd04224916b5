package blockstream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Client is a stream to a server. Any goroutine may Ask and Close, one may call
// Next.
type Client struct {
	stream network.Stream
	pace   *paced
	in     *bufio.Reader
	mu     sync.Mutex // held by Ask
	out    []byte
}

// Open opens a stream to a connected peer. It connects to nobody.
func Open(ctx context.Context, h host.Host, p peer.ID) (*Client, error) {
	s, err := h.NewStream(network.WithNoDial(ctx, "blocks"), p, Protocol)
	if err != nil {
		return nil, fmt.Errorf("opening a stream for blocks: %w", err)
	}
	pace := &paced{s: s}
	// Small, as blocks are read past it into memory of their own.
	return &Client{stream: s, pace: pace, in: bufio.NewReaderSize(pace, 4<<10)}, nil
}

// paced is a stream of which something must come at least every d: how long a
// block may take depends on the line.
type paced struct {
	s network.Stream
	d time.Duration
}

func (p *paced) Read(b []byte) (int, error) {
	if err := p.s.SetReadDeadline(time.Now().Add(p.d)); err != nil {
		return 0, err
	}
	return p.s.Read(b)
}

// Ask sends requests, in one write, which must be done within d.
func (c *Client) Ask(d time.Duration, rs ...Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = c.out[:0]
	for _, r := range rs {
		var err error
		if c.out, err = appendRequest(c.out, r); err != nil {
			return err
		}
	}
	if err := c.stream.SetWriteDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	_, err := c.stream.Write(c.out)
	return err
}

// Next reads the answer to the oldest request that has none yet. It fails when
// nothing comes for d, be it in the middle of a block. A block is as the server
// sent it: see Verify.
func (c *Client) Next(d time.Duration) (Answer, error) {
	c.pace.d = d
	return readAnswer(c.in)
}

// Close breaks the stream off. Ask and Next end.
func (c *Client) Close() { _ = c.stream.Reset() }

// Report tells a connected peer that a block which it sent is damaged, and waits
// until it has looked at it.
func Report(ctx context.Context, h host.Host, p peer.ID, id cid.Cid) error {
	c, err := Open(ctx, h, p)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	if err := c.Ask(reportTime, Request{Damaged, id}); err != nil {
		return err
	}
	if err := c.stream.CloseWrite(); err != nil {
		return err
	}
	c.pace.d = reportTime
	if _, err := c.in.ReadByte(); err != io.EOF {
		return err
	}
	return nil
}

const reportTime = 5 * time.Second
