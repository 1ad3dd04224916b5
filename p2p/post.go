package p2p

import (
	"bufio"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"go.uber.org/zap"
)

// Bounds of a Post. A peer's queue holds no more than both of its bounds.
const (
	PostFrameLimit = 4 << 20  // bytes of one frame
	postQueueBytes = 16 << 20 // of one peer
	postQueueLen   = 1024     // frames of one peer
	postOpen       = 10 * time.Second
	postWrite      = 10 * time.Second // without progress on a frame
	postIdle       = time.Minute      // until an unused stream is closed
	postBackoff    = time.Second      // in which an unreachable peer is not tried again
)

// Post carries frames one way to single peers, best effort: in order for each
// pair of peers, but any can be lost when a connection breaks or a queue is full.
type Post struct {
	host    host.Host
	log     *zap.Logger
	proto   protocol.ID
	receive func(from peer.ID, frame []byte)
	ctx     context.Context // ended by Close
	stop    context.CancelFunc
	work    tasks
	dropped atomic.Uint64

	mu    sync.Mutex
	boxes map[peer.ID]*outbox
	inlet map[peer.ID]*inlet
	down  map[peer.ID]time.Time // unreachable until then
}

// outbox is what waits for one peer. Its goroutine lives while there is traffic.
type outbox struct {
	frames [][]byte
	bytes  int
	ready  chan struct{}
}

// inlet is the one stream from a peer that is being read.
type inlet struct {
	stream network.Stream
	done   chan struct{}
}

// NewPost takes part in a protocol. receive is called for one frame after the
// other of a sender, for several senders at once, and owns the frame; while it
// does not return, its sender is slowed down. Close it before the Mesh.
func NewPost(m *Mesh, proto protocol.ID, receive func(from peer.ID, frame []byte)) *Post {
	p := &Post{
		host: m.host, log: m.log, proto: proto, receive: receive,
		boxes: make(map[peer.ID]*outbox), inlet: make(map[peer.ID]*inlet), down: make(map[peer.ID]time.Time),
	}
	p.ctx, p.stop = context.WithCancel(m.ctx)
	m.host.SetStreamHandler(proto, p.accept)
	return p
}

// Send queues a frame for a peer; the caller must not change it afterwards. It
// never blocks. False means that the frame was dropped: it is too long, the
// peer's queue is full, or the peer could not be reached just now. True promises
// nothing about its arrival.
func (p *Post) Send(to peer.ID, frame []byte) bool {
	ok := len(frame) <= PostFrameLimit && p.put(to, frame)
	if !ok {
		p.dropped.Add(1)
	}
	return ok
}

// Dropped counts the frames that were not sent.
func (p *Post) Dropped() uint64 { return p.dropped.Load() }

func (p *Post) put(to peer.ID, frame []byte) bool {
	connected := p.host.Network().Connectedness(to) == network.Connected
	if !connected && len(p.host.Peerstore().Addrs(to)) == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if until, ok := p.down[to]; ok {
		if !connected && time.Now().Before(until) {
			return false
		}
		delete(p.down, to)
	}
	b := p.boxes[to]
	if b == nil {
		b = &outbox{ready: make(chan struct{}, 1)}
		if !p.work.Go(func() { p.deliver(to, b) }) {
			return false
		}
		p.boxes[to] = b
	}
	if len(b.frames) >= postQueueLen || b.bytes+len(frame) > postQueueBytes {
		return false
	}
	b.frames = append(b.frames, frame)
	b.bytes += len(frame)
	notify(b.ready)
	return true
}

// take fetches the oldest frame, waiting for one for a while. Without one, the
// box is closed under the lock, so that no frame is put into a dead box.
func (p *Post) take(to peer.ID, b *outbox) ([]byte, bool) {
	idle := time.NewTimer(postIdle)
	defer idle.Stop()
	for closing := false; ; {
		p.mu.Lock()
		if len(b.frames) > 0 {
			frame := b.frames[0]
			b.frames[0] = nil
			b.frames = b.frames[1:]
			b.bytes -= len(frame)
			p.mu.Unlock()
			return frame, true
		}
		if closing {
			delete(p.boxes, to)
			p.mu.Unlock()
			return nil, false
		}
		p.mu.Unlock()
		select {
		case <-b.ready:
		case <-idle.C:
			closing = true
		case <-p.ctx.Done():
			return nil, false
		}
	}
}

// deliver writes a peer's frames to one stream until it is idle or broken.
func (p *Post) deliver(to peer.ID, b *outbox) {
	s, err := p.open(to)
	if err == nil {
		defer context.AfterFunc(p.ctx, func() { s.Reset() })()
		err = p.drain(to, b, s)
	}
	if err != nil {
		p.giveUp(to, b, err)
	}
}

func (p *Post) open(to peer.ID) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(p.ctx, postOpen)
	defer cancel()
	return p.host.NewStream(ctx, to, p.proto)
}

func (p *Post) drain(to peer.ID, b *outbox, s network.Stream) error {
	for {
		frame, ok := p.take(to, b)
		if !ok {
			return s.Close()
		}
		s.SetWriteDeadline(time.Now().Add(postWrite))
		if err := writeFrame(s, frame); err != nil {
			s.Reset()
			p.dropped.Add(1)
			return err
		}
	}
}

// giveUp drops what waits for a peer: by the time that it can be reached again,
// the senders know better what to say.
func (p *Post) giveUp(to peer.ID, b *outbox, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropped.Add(uint64(len(b.frames)))
	if p.boxes[to] == b {
		delete(p.boxes, to)
	}
	now := time.Now()
	for id, until := range p.down {
		if now.After(until) {
			delete(p.down, id)
		}
	}
	p.down[to] = now.Add(postBackoff)
	p.log.Debug("post", zap.Stringer("peer", to), zap.String("protocol", string(p.proto)), zap.Error(err))
}

func (p *Post) accept(s network.Stream) {
	if !p.work.Do(func() { p.read(s) }) {
		s.Reset()
	}
}

// read takes frames from a stream. A newer stream from the same peer ends the
// older one and waits for its last receive, so that frames stay in order.
func (p *Post) read(s network.Stream) {
	defer s.Reset()
	from := s.Conn().RemotePeer()
	in := &inlet{stream: s, done: make(chan struct{})}
	defer close(in.done)
	p.mu.Lock()
	old := p.inlet[from]
	p.inlet[from] = in
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		if p.inlet[from] == in {
			delete(p.inlet, from)
		}
		p.mu.Unlock()
	}()
	if old != nil {
		old.stream.Reset()
		<-old.done
	}
	defer context.AfterFunc(p.ctx, func() { s.Reset() })()
	r := bufio.NewReader(s)
	for {
		frame, err := readFrame(r, PostFrameLimit)
		if err != nil {
			return
		}
		p.receive(from, frame)
	}
}

// Close stops receiving, drops what is queued, and waits until no receive runs.
// It must not be called from receive.
func (p *Post) Close() error {
	p.host.RemoveStreamHandler(p.proto)
	p.stop()
	p.work.Wait()
	return nil
}
