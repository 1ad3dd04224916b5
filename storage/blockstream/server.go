package blockstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// Blocks is where a server takes blocks from.
type Blocks interface {
	// Open opens the file that holds a block, as it lies on the disk. Where there
	// is none, the error is fs.ErrNotExist.
	Open(c cid.Cid) (*os.File, error)
	// Suspect is told of a block that a peer says is damaged.
	Suspect(ctx context.Context, c cid.Cid)
}

const (
	// buffer is four messages of yamux's largest size, each of which is four
	// records of TLS: nothing is sent in crumbs.
	buffer = 4 * (64<<10 - 12)
	// idleTime is how long a stream may rest between two requests, sendTime how
	// long a peer may take to take one block.
	idleTime = time.Minute
	sendTime = 30 * time.Second
	// A client that asks for what is not here is answered this often, per stream:
	// a folder of which all is missing is asked for once and in one go.
	missesPerSecond = 2_000
	missesAtOnce    = 20_000
	// Each report of damage has a block read and hashed.
	reportsPerSecond = 1
	reportsAtOnce    = 16
)

// Server answers peers. It holds one buffer of a quarter of a megabyte for each
// stream, and at most MaxStreams streams.
type Server struct {
	host   host.Host
	blocks Blocks
	log    *zap.Logger
	limits *limits

	ctx  context.Context
	stop context.CancelFunc
	mu   sync.Mutex // guards work against Close
	work sync.WaitGroup
}

// NewServer makes a server that answers from now on, until Close.
func NewServer(h host.Host, b Blocks, log *zap.Logger) *Server {
	s := &Server{host: h, blocks: b, log: log, limits: newLimits()}
	s.ctx, s.stop = context.WithCancel(context.Background())
	h.SetStreamHandler(Protocol, s.handle)
	return s
}

// Close ends all streams and waits until nothing is left running.
func (s *Server) Close() {
	s.host.RemoveStreamHandler(Protocol)
	s.mu.Lock()
	s.stop()
	s.mu.Unlock()
	s.work.Wait()
}

func (s *Server) handle(st network.Stream) {
	s.mu.Lock()
	if s.ctx.Err() != nil {
		s.mu.Unlock()
		_ = st.Reset()
		return
	}
	s.work.Add(1)
	s.mu.Unlock()
	defer s.work.Done()

	from := st.Conn().RemotePeer()
	if !s.limits.enter(from, time.Now()) {
		_ = st.Reset()
		return
	}
	defer s.limits.leave(from)
	defer context.AfterFunc(s.ctx, func() { _ = st.Reset() })()
	err := s.serve(st)
	if err == nil {
		_ = st.Close()
		return
	}
	_ = st.Reset()
	if errors.Is(err, ErrMalformed) {
		s.limits.fault(from, time.Now())
		s.log.Debug("a peer that asked for blocks sent what makes no sense", zap.Stringer("peer", from), zap.Error(err))
	}
}

// serve answers one stream until it ends.
func (s *Server) serve(st network.Stream) error {
	in := bufio.NewReaderSize(st, 16<<10)
	out := bufio.NewWriterSize(st, buffer)
	misses := rate.NewLimiter(missesPerSecond, missesAtOnce)
	reports := rate.NewLimiter(reportsPerSecond, reportsAtOnce)
	for {
		if in.Buffered() == 0 { // else more answers go into the same write
			if err := out.Flush(); err != nil {
				return err
			}
			if err := st.SetReadDeadline(time.Now().Add(idleTime)); err != nil {
				return err
			}
		}
		r, err := readRequest(in)
		if err == io.EOF {
			return out.Flush()
		}
		if err != nil {
			return err
		}
		if err := st.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
			return err
		}
		if r.Kind == Damaged {
			if reports.Allow() {
				s.blocks.Suspect(s.ctx, r.CID)
			}
			continue
		}
		here, err := s.answer(out, r)
		if err != nil {
			return err
		}
		if here || misses.Allow() {
			continue
		}
		if err := out.Flush(); err != nil { // what was found does not wait for this
			return err
		}
		if err := misses.Wait(s.ctx); err != nil {
			return err
		}
	}
}

// answer writes the answer to a Want or a Probe and reports whether the block
// is here.
func (s *Server) answer(out *bufio.Writer, r Request) (here bool, err error) {
	var head [answerHead]byte
	f, size, err := s.open(r.CID)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("a block could not be read for a peer, who was told that it is not here", zap.Stringer("cid", r.CID), zap.Error(err))
		}
		_, err := out.Write(putAnswer(&head, None, 0))
		return false, err
	}
	defer f.Close()
	if r.Kind == Probe && size > ProbeSize {
		_, err := out.Write(putAnswer(&head, Here, size))
		return true, err
	}
	if _, err := out.Write(putAnswer(&head, Block, size)); err != nil {
		return true, err
	}
	n, err := out.ReadFrom(io.LimitReader(f, int64(size)))
	if err != nil {
		return true, err
	}
	if n != int64(size) {
		return true, fmt.Errorf("block %s was cut short while it was sent", r.CID)
	}
	return true, nil
}

func (s *Server) open(c cid.Cid) (*os.File, int, error) {
	f, err := s.blocks.Open(c)
	if err != nil {
		return nil, 0, err
	}
	fi, err := f.Stat()
	if err == nil && (!fi.Mode().IsRegular() || fi.Size() > MaxBlock) {
		err = fmt.Errorf("it is no file of at most %d bytes", MaxBlock)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, int(fi.Size()), nil
}
