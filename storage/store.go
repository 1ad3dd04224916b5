package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/routing"
	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/storage/blockstream"
)

// Config says where a store keeps its data and whom it talks to.
type Config struct {
	Dir string // folder of the store alone; made if it is not there
	// Host and Routing are the caller's: they must be running when the store is
	// opened and until it is closed, and are never closed here. Routing finds the
	// providers of a CID and is told of ours.
	Host    host.Host
	Routing routing.Routing
	// MaxBytes is how much the store may take of the disk; see doc.go. 0 means
	// four fifths of what the disk can give it, now or whenever that is more.
	MaxBytes int64
	// Patience is how long a fetch goes on without a single block coming in
	// before it ends with a NotFoundError. 0 means DefaultPatience. It ends after
	// a sixth of it if all connected peers deny having it; see the package.
	Patience time.Duration
}

// DefaultPatience allows for two failed dials one after the other.
const DefaultPatience = 30 * time.Second

// Store is a node's IPFS store. Its methods are safe for concurrent use, block
// until their work is done, and return when nothing of it is left running. A
// context that ends stops them.
type Store struct {
	log      *zap.Logger
	host     host.Host
	routing  routing.Routing
	patience time.Duration
	entries  int // maxEntries, but for tests
	diskOf   func(dir string) diskSpace
	repo     *diskRepo
	kubo     *kubo
	news     *queue
	claims   *claims
	server   *blockstream.Server
	roots    *roots
	turn     chan struct{} // filled by the collection under way
	swapping turns         // blocks that Bitswap is asked for

	mu     sync.Mutex // guards closed, and busy against Wait
	closed bool
	busy   sync.WaitGroup // calls under way
	life   context.Context
	die    context.CancelCauseFunc
	finish func() error // does the work of Close, once
}

// Open opens the store, founding it in an empty or missing folder. A folder
// that another Store has open is a LockedError, one that this program cannot
// use a FormatError; neither changes anything on disk.
func Open(ctx context.Context, cfg Config, log *zap.Logger) (*Store, error) {
	if cfg.Dir == "" || cfg.Host == nil || cfg.Routing == nil {
		return nil, errors.New("opening the store: a folder, a host and a routing are needed")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if cfg.Patience == 0 {
		cfg.Patience = DefaultPatience
	}
	r, err := openRepo(cfg.Dir, kuboConfig())
	if err != nil {
		return nil, err
	}
	return openOn(r, cfg, log)
}

// openOn opens the store on a repository, which it closes if it fails.
func openOn(r *diskRepo, cfg Config, log *zap.Logger) (*Store, error) {
	k, err := newKubo(r, cfg.Host, cfg.Routing, log)
	if err == nil {
		err = r.room.setLimit(cfg.MaxBytes)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	s := &Store{
		log: log, host: cfg.Host, routing: cfg.Routing, patience: cfg.Patience, entries: maxEntries, diskOf: diskOf,
		repo: r, kubo: k, news: newQueue(), claims: newClaims(), roots: &roots{data: r.data}, turn: make(chan struct{}, 1),
	}
	s.life, s.die = context.WithCancelCause(context.Background())
	s.finish = sync.OnceValue(s.shutdown)
	s.server = blockstream.NewServer(cfg.Host, served{s}, log)
	return s, nil
}

// Close ends what is under way with ErrClosed, waits for it, writes everything
// to disk and gives the folder free. Close the store before the routing and the
// host, which it leaves alone. Further calls return the same as the first.
//
// An Add waits for its reader: end that first.
func (s *Store) Close() error { return s.finish() }

func (s *Store) shutdown() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.die(ErrClosed)
	s.server.Close()
	s.busy.Wait()
	if err := errors.Join(s.kubo.close(), s.repo.Close()); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}

// begin enters a call that Close must wait for. The context that it returns
// ends with ctx and with the store; end must be called.
func (s *Store) begin(ctx context.Context) (_ context.Context, end func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	s.busy.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		s.busy.Done()
	}, nil
}

// ended is the error of work on the store that failed, for people.
func (s *Store) ended(ctx context.Context, err error) error { return ended(ctx, err, s.repo.dir) }

// ended is the error of work that failed, for people: why its context ended, if
// it did, as the libraries report that in many ways; and which disk is full, if
// that is it. dir is the folder that was written to.
func ended(ctx context.Context, err error, dir string) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, full) { // which of the store's own files it was is no help
			return fmt.Errorf("there is no room for it on the disk of %s (%w); free space on it, then try again", dir, full)
		}
	}
	return err
}

// signal leaves a token in a channel that has room for one, for whoever waits there.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
