package p2p

import (
	"bufio"
	"context"
	"errors"
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
	postFlush      = time.Second      // for what is queued when it is closed
)

// Post carries frames one way to single peers, best effort: in order for each
// pair of peers, but any can be lost when a connection breaks or a queue is full.
type Post struct {
	mesh    *Mesh
	host    host.Host
	log     *zap.Logger
	proto   protocol.ID
	receive func(from peer.ID, frame []byte) error
	ctx     context.Context // ended by Close
	stop    context.CancelFunc
	work    tasks
	out     sync.WaitGroup // deliveries
	dropped atomic.Uint64
	faults  *penalties

	mu    sync.Mutex
	last  bool // nothing more is taken: Close waits for the queues to empty
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
// does not return, its sender is slowed down. Its error says that the frame makes
// no sense: that is logged, the sender's stream is reset, and the sender is kept
// out for a second, for longer each further time. Close it before the Mesh.
func NewPost(m *Mesh, proto protocol.ID, receive func(from peer.ID, frame []byte) error) *Post {
	p := &Post{
		mesh: m, host: m.host, log: m.log, proto: proto, receive: receive, faults: newPenalties(),
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
	if p.last {
		return false
	}
	if until, ok := p.down[to]; ok {
		if !connected && time.Now().Before(until) {
			return false
		}
		delete(p.down, to)
	}
	b := p.boxes[to]
	if b == nil {
		b = &outbox{ready: make(chan struct{}, 1)}
		p.out.Add(1)
		if !p.work.Go(func() { defer p.out.Done(); p.deliver(to, b) }) {
			p.out.Done()
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
		if closing || p.last {
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
	if err != nil {
		p.giveUp(to, b, err)
		return
	}
	disarm := context.AfterFunc(p.ctx, func() { s.Reset() })
	err = p.drain(to, b, s)
	disarm()
	if err != nil {
		p.mesh.reset(s)
		p.giveUp(to, b, err)
		return
	}
	p.end(s)
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
			return nil
		}
		s.SetWriteDeadline(time.Now().Add(postWrite))
		if err := writeFrame(s, frame); err != nil {
			p.dropped.Add(1)
			return err
		}
	}
}

// end closes a stream once the peer has read all of it, or after a second: a
// stream's own Close would wait for a peer that is frozen.
func (p *Post) end(s network.Stream) {
	s.SetDeadline(time.Now().Add(postFlush))
	s.CloseWrite()
	s.Read(make([]byte, 1)) // nothing comes but the end
	s.CloseRead()           // so that Close does not wait for the handshake
	p.mesh.endings.Go(func() { s.Close() })
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
	defer p.mesh.reset(s)
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
	if p.faults.out(from, time.Now()) {
		return
	}
	defer context.AfterFunc(p.ctx, func() { s.Reset() })()
	r := bufio.NewReader(s)
	for {
		frame, err := readFrame(r, PostFrameLimit)
		if errors.Is(err, errTooLong) {
			p.fault(from, err)
		}
		if err != nil {
			return
		}
		if err := p.receive(from, frame); err != nil {
			p.fault(from, err)
			return
		}
	}
}

// fault keeps a peer out. There is one line about it for each stream that was
// listened to.
func (p *Post) fault(from peer.ID, err error) {
	pause := p.faults.fault(from, time.Now())
	p.log.Warn("a peer sent what makes no sense: not listening to it for a while",
		zap.Stringer("peer", from), zap.String("protocol", string(p.proto)), zap.Duration("pause", pause), zap.Error(err))
}

// Close sends what is queued, for a second at most, stops receiving, and waits
// until no receive runs. It must not be called from receive.
func (p *Post) Close() error {
	p.host.RemoveStreamHandler(p.proto)
	p.mu.Lock()
	p.last = true
	for _, b := range p.boxes {
		notify(b.ready)
	}
	p.mu.Unlock()
	timer := time.AfterFunc(postFlush, p.stop)
	p.out.Wait()
	timer.Stop()
	p.stop()
	p.work.Wait()
	return nil
}
