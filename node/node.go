// Package node is a Shoal peer as a library, and the only place where its parts
// are put together: the mesh (p2p), the store (storage), the executors, the
// scheduler with its ledger, and the HTTP API.
//
//	n, err := node.New(node.Config{Home: dir, Private: true, Initial: true}, log)
//	err = n.Run(ctx, func(o node.Offer) { … ready … })
//
// Several nodes in one process are fine, each with a Home and ports of its own.
package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/zap"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/executor/wasm"
	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler"
	"github.com/shoal-mesh/shoal/scheduler/job"
	"github.com/shoal-mesh/shoal/scheduler/ledger"
	"github.com/shoal-mesh/shoal/storage"
)

// Node is one peer.
type Node struct {
	cfg Config
	log *zap.Logger
}

// Offer is what a running node says of itself once it is ready.
type Offer struct {
	ID      api.ID
	Labels  map[string]string
	Room    job.Room   // what jobs may use together
	Engines []string   // what runs jobs, each proved by a run: "wasmer 2.0.0"
	Missing []string   // what it cannot offer and why, in sentences
	Join    *api.Token // lets the next machine in; nil in an open swarm
	API     string     // host:port where the HTTP API listens
}

// maxStrangers is how many connections to the public HTTP API may be open at
// once: anybody can open them, and each takes a descriptor. One site may have a
// quarter of them, so that it does not keep the others out.
const maxStrangers = 512

// MaybeChild must be the first call in main of a program that runs nodes: where
// the process was started as the child that runs a guest, it does that and does
// not return.
func MaybeChild() { wasm.MaybeChild() }

// BuildEngine is the WebAssembly engine that this build carries; a node falls
// back to wazero where that does not run.
func BuildEngine() string { return wasm.BuildEngine }

// New checks cfg; it starts nothing and touches no disk.
func New(cfg Config, log *zap.Logger) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Node{cfg: cfg, log: log}, nil
}

// Run runs the node until ctx ends or a part fails, and returns the first
// failure after everything has stopped; nil when ctx ended it. The node takes
// jobs before ready is called, once, from another goroutine: by then it has also
// proved what it can run.
func (n *Node) Run(ctx context.Context, ready func(Offer)) (err error) {
	h, err := openHome(n.cfg.Home)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()

	identity, err := p2p.LoadIdentity(h.path("identity.key"))
	if err != nil {
		return err
	}
	at, err := newEntry(n.cfg, h, identity, n.log.Named("join"))
	if err != nil {
		return err
	}
	member, err := at.enter(ctx)
	if err != nil {
		return ended(ctx, err)
	}
	cfg := n.cfg.withDefaults(member.alone())

	listener, err := net.Listen(tcpOf(cfg.API), cfg.API)
	if err != nil {
		return fmt.Errorf("open the HTTP API at %s: %w; is another node running? choose another address with --api", cfg.API, err)
	}
	defer listener.Close()
	listener = netutil.LimitListener(api.LimitEach(listener, maxStrangers/4), maxStrangers)
	listen := make([]multiaddr.Multiaddr, len(cfg.Listen))
	for i, l := range cfg.Listen {
		if listen[i], err = multiaddr.NewMultiaddr(l); err != nil {
			return fmt.Errorf("--listen %q: %w", l, err)
		}
	}
	book, err := ledger.Open(h.path("ledger.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.Close()) }()

	boot, err := h.nextBoot()
	if err != nil {
		return err
	}
	folders, err := openMounts(cfg, h.dir)
	if err != nil {
		return err
	}
	said, err := newOwnLabels(cfg, member.key != nil, h.path("labels.json"))
	if err != nil {
		return err
	}
	mesh, err := p2p.New(p2p.Config{Identity: identity, SwarmKey: member.key, Listen: listen, Bootstrap: member.first, MDNS: cfg.MDNS,
		KnownFile: h.path("peers.json"), Labels: said.all(), Ledgers: []string{string(book.ID())}, Boot: boot}, n.log.Named("p2p"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mesh.Close()) }()

	said.announce = func(labels map[string]string) error { return mesh.Announce(labels, []string{string(book.ID())}) }

	store, err := storage.Open(ctx, storage.Config{Dir: h.path("ipfs"), Host: mesh.Host(), Routing: mesh.Routing(), Patience: cfg.Patience, MaxBytes: int64(cfg.MaxStorage)}, n.log.Named("storage"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	engine, err := wasm.New(wasm.Config{Dir: h.dir}, n.log.Named("wasm"))
	if err != nil {
		return err
	}
	runner, err := executor.NewRunner(h.path("work"), inputs{store, n.log.Named("inputs")}, engine, n.log.Named("executor"))
	if err != nil {
		return err
	}
	runner.Offer(folders)
	w, err := connect(mesh, n.log.Named("wire"))
	if err != nil {
		return err
	}
	w.sched, err = scheduler.New(scheduler.Config{Self: job.PeerID(mesh.Host().ID().String()), Boot: boot, Ledger: book.ID(), Room: cfg.room(), Listed: cfg.listed(member.key != nil), Accept: cfg.accept(), Seed: rand.Uint64()},
		book, w, runner, n.log.Named("scheduler"))
	if err != nil {
		return err
	}
	b := &backend{
		swarmJobs: swarmJobs{ownJobs{sched: w.sched, runner: runner, mesh: mesh, known: &w.known, open: member.key == nil}},
		cfg:       cfg, key: member.key, said: said, mesh: mesh, store: store, engine: engine,
		begun: time.Now(), log: n.log, api: listener.Addr(), dir: h.dir, heard: w.lastHeard,
	}
	p := &parts{
		cfg: cfg, log: n.log, home: h, entry: at, member: member, mesh: mesh, store: store, engine: engine,
		book: book, wire: w, said: said, folders: folders, backend: b, public: listener,
	}
	return p.run(ctx, ready)
}

// tcpOf is the network to listen on at host:port. To Go, 0.0.0.0 in "tcp" stands
// for IPv6 too, which nobody asked for who wrote it.
func tcpOf(addr string) string {
	if a, err := netip.ParseAddrPort(addr); err == nil && a.Addr().Is4() {
		return "tcp4"
	}
	return "tcp"
}

// parts are what a running node is made of.
type parts struct {
	cfg     Config
	log     *zap.Logger
	home    *home
	entry   entry
	member  membership
	mesh    *p2p.Mesh
	store   *storage.Store
	engine  *wasm.Executor
	book    *ledger.Ledger
	wire    *wire
	said    *ownLabels
	folders executor.Folders
	backend *backend
	public  net.Listener
}

// run runs the parts side by side until ctx ends or one of them fails.
func (p *parts) run(ctx context.Context, ready func(Offer)) error {
	socket, err := api.ListenSocket(SocketPath(p.home.dir))
	if err != nil {
		return err
	}
	defer os.Remove(SocketPath(p.home.dir))
	peers, err := p.mesh.Listener(askProtocol)
	if err != nil {
		return errors.Join(err, socket.Close())
	}
	p.wire.open()
	defer p.wire.Close()

	g, ctx := errgroup.WithContext(ctx)
	log := p.log.Named("api")
	g.Go(func() error { return api.Serve(ctx, socket, api.Local(p.backend, log), log) })
	clients := &authorized{file: AuthorizedPath(p.home.dir), log: log}
	g.Go(func() error { return api.Serve(ctx, p.public, api.Public(p.backend, clients.allow, log), log) })
	g.Go(func() error {
		return api.Serve(ctx, peers, api.Mesh(p.backend.own.forPeers(), &p.backend.door, newNeighbour(p.cfg, p.mesh), caller, log), log)
	})
	// The ledger outlives the scheduler, so that what it appended last is committed.
	bookCtx, closeBook := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error { return p.book.Run(bookCtx) })
	g.Go(func() error { defer closeBook(); return p.wire.sched.Run(ctx) })
	g.Go(func() error { return p.mesh.Run(ctx) })
	g.Go(func() error { return p.member.reach(ctx, p.entry, p.mesh) })
	g.Go(func() error { return p.store.Run(ctx) })
	g.Go(func() error { return p.wire.deliver(ctx) })
	g.Go(func() error { return p.wire.publish(ctx) })
	g.Go(func() error { return p.watchMounts(ctx) })
	g.Go(func() error { return p.wire.follow(ctx) })
	p.backend.ready.Store(true)
	p.log.Info("ready", zap.String("peer", p.mesh.Host().ID().String()), zap.Bool("private", p.member.key != nil), zap.Stringer("api", p.public.Addr()))
	g.Go(func() error {
		o := p.prove(ctx)
		p.backend.offer.Store(&o)
		if ctx.Err() == nil && ready != nil {
			ready(o)
		}
		return nil
	})
	return ended(ctx, g.Wait())
}

// prove runs one tiny guest for real, announces what worked and says what this
// node offers.
func (p *parts) prove(ctx context.Context) Offer {
	o := Offer{ID: p.backend.ID(ctx), Room: p.cfg.room(), API: p.public.Addr().String()}
	name := ""
	if err := p.engine.SelfTest(ctx); err != nil {
		o.Missing = append(o.Missing, fmt.Sprintf("WebAssembly jobs: the self-test failed: %v", err))
	} else {
		name = p.engine.Engine() // after the test, which may have changed it
		o.Engines = append(o.Engines, name)
	}
	engine, _, _ := strings.Cut(name, " ")
	if err := p.said.setAuto(map[string]string{"wasm": engine}); err != nil {
		o.Missing = append(o.Missing, fmt.Sprintf("labels: %v", err))
	}
	o.Labels = p.said.all()
	if p.member.key == nil && !p.member.alone() && len(p.cfg.AcceptFrom) == 0 {
		o.Missing = append(o.Missing, "jobs of other nodes: anybody gets into an open swarm, so it runs its own alone; name nodes whose jobs it is to run with --accept-from PEER")
	}
	if p.member.key != nil {
		if t, err := p.backend.Token(ctx, time.Hour); err == nil {
			o.Join = &t
		}
	}
	return o
}

// caller is the peer at the other end of the stream that a request came over.
func caller(r *http.Request) (job.PeerID, bool) {
	p, err := peer.Decode(r.RemoteAddr)
	return job.PeerID(r.RemoteAddr), err == nil && p.String() == r.RemoteAddr
}
