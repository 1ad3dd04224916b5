package p2p

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/zap"
)

// Mesh is one node's place in the swarm. Its methods may be called from any
// goroutine.
type Mesh struct {
	cfg    Config
	log    *zap.Logger
	host   host.Host
	dht    *dht.IpfsDHT
	gossip *pubsub.PubSub
	roster *Roster
	labels *Topic[announcement]
	known  *knownPeers
	door   *door              // of a private swarm, else nil
	conns  event.Subscription // connectedness of peers

	seq  atomic.Uint64
	said struct {
		sync.Mutex
		labels  map[string]string
		ledgers []string
		leaving bool
	}

	// Hints to Run's loops. Dropping one only delays: the loops look for
	// themselves as well.
	found   chan hint     // peers that may be worth a connection
	lost    chan peer.ID  // peers whose last connection closed
	changed chan struct{} // what this node says is new
	met     chan struct{} // the roster grew

	hellos  *quotas
	flood   *floodgate
	failing failing // bootstrap peers

	ctx     context.Context // of everything that New started; ended by Close
	stop    context.CancelFunc
	work    tasks
	endings tasks // of streams; a peer that is frozen holds them up until the host closes
	once    sync.Once
}

// New makes the host and listens. From then on peers can connect and are greeted,
// but nothing is looked for and nobody is watched until Run. Close it after use.
func New(cfg Config, log *zap.Logger) (*Mesh, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	known, err := loadKnown(cfg.KnownFile)
	if err != nil {
		return nil, err
	}
	var seen *door
	if cfg.SwarmKey != nil {
		seen = newDoor()
	}
	h, kad, err := newHost(cfg, seen)
	if err != nil {
		return nil, err
	}
	m := &Mesh{
		cfg: cfg, log: log, host: h, dht: kad, known: known, door: seen,
		roster:  newRoster(h.ID(), cfg.Silence),
		found:   make(chan hint, 256),
		lost:    make(chan peer.ID, 256),
		changed: make(chan struct{}, 1),
		met:     make(chan struct{}, 1),
		hellos:  newQuotas(helloRate, helloBurst),
		flood:   newFloodgate(),
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	if err := m.begin(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Mesh) begin() error {
	var err error
	if m.gossip, err = newGossip(m.ctx, m.host, m.flood); err != nil {
		return fmt.Errorf("starting gossip: %w", err)
	}
	if err := m.Announce(m.cfg.Labels, m.cfg.Ledgers); err != nil {
		return err
	}
	if m.labels, err = Join(m, "labels", encodeAnnouncement,
		func(_ peer.ID, b []byte) (announcement, error) { return decodeAnnouncement(b) }); err != nil {
		return err
	}
	m.conns, err = m.host.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged), eventbus.BufSize(256))
	if err != nil {
		return fmt.Errorf("watching connections: %w", err)
	}
	m.host.SetStreamHandler(helloProtocol, m.answerHello)
	watch := m.roster.Watch()
	m.work.Go(func() { m.followConnections() })
	m.work.Go(func() { defer watch.Close(); m.followRoster(watch) })
	return nil
}

// Run finds peers and watches over them: it connects to the bootstrap and the
// remembered peers until it succeeds, looks for others, announces this node,
// redials who is lost, and writes Config.KnownFile. It returns nil when ctx has
// ended and nothing that it started is left running. Call it once.
func (m *Mesh) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)()
	if err := m.dht.Bootstrap(ctx); err != nil {
		return fmt.Errorf("starting the DHT: %w", err)
	}
	var wg sync.WaitGroup
	for _, loop := range []func(context.Context){
		m.seek, m.discover, m.publishSelf, m.hearOthers, m.watchOver, m.remember, m.watchDoor, m.findNearby,
	} {
		wg.Go(func() { loop(ctx) })
	}
	wg.Wait()
	return nil
}

// Close says goodbye to the connected peers, within two seconds, and closes
// the host; a second call does nothing. End Run first, and close topics, posts
// and listeners.
func (m *Mesh) Close() error {
	var err error
	m.once.Do(func() {
		m.sayGoodbye()
		if m.labels != nil {
			m.labels.Close()
		}
		m.stop()
		if m.conns != nil {
			m.conns.Close()
		}
		m.work.Wait()
		err = m.dht.Close() // before the host, over which it says things
		if herr := m.host.Close(); err == nil {
			err = herr
		}
		m.endings.Wait()
	})
	if err != nil {
		return fmt.Errorf("closing the mesh: %w", err)
	}
	return nil
}

// Host is the libp2p host, for others to share. The Mesh closes it; closing it
// twice does no harm.
func (m *Mesh) Host() host.Host { return m.host }

// Routing is the swarm's DHT.
func (m *Mesh) Routing() routing.Routing { return m.dht }

// Roster is the table of live peers.
func (m *Mesh) Roster() *Roster { return m.roster }

// Addrs are the addresses at which others reach this node, each with its peer
// ID, as of now: a wildcard listener stands for the addresses of all interfaces.
func (m *Mesh) Addrs() []multiaddr.Multiaddr {
	id, err := multiaddr.NewComponent("p2p", m.host.ID().String())
	if err != nil {
		return nil
	}
	var out []multiaddr.Multiaddr
	for _, a := range m.addrs() {
		out = append(out, a.Encapsulate(id))
	}
	return out
}

// addrs asks the listeners rather than host.Addrs, which learns of a new
// listener some time after it works.
func (m *Mesh) addrs() []multiaddr.Multiaddr {
	all, err := m.host.Network().InterfaceListenAddresses()
	if err != nil {
		return nil
	}
	return announced(all, m.cfg.Loopback)
}

// Announce changes what this node says about itself and has peers told. It keeps
// copies. Labels must be in the Kubernetes grammar, at most MaxLabels of them.
func (m *Mesh) Announce(labels map[string]string, ledgers []string) error {
	if err := checkSaid(labels, ledgers); err != nil {
		return fmt.Errorf("announcing: %w", err)
	}
	m.said.Lock()
	m.said.labels, m.said.ledgers = maps.Clone(labels), slices.Clone(ledgers)
	m.said.Unlock()
	m.roster.setSelf(m.announcement(), time.Now())
	notify(m.changed)
	return nil
}

// announcement makes a fresh one, with the next sequence number. Taking the
// number and the content under one lock keeps newer numbers on newer content.
func (m *Mesh) announcement() announcement {
	addrs := m.addrs()
	m.said.Lock()
	defer m.said.Unlock()
	return announcement{
		Version: announcementVersion, Type: announcementType,
		Boot: m.cfg.Boot, Seq: m.seq.Add(1),
		Labels: m.said.labels, Ledgers: m.said.ledgers,
		Addrs: encodeAddrs(addrs), Leaving: m.said.leaving, addrs: addrs,
	}
}

// followConnections has this node meet those that it is connected to, and notes
// those that are lost.
func (m *Mesh) followConnections() {
	for e := range m.conns.Out() {
		c := e.(event.EvtPeerConnectednessChanged)
		switch c.Connectedness {
		case network.Connected:
			m.work.Go(func() { m.meet(m.ctx, c.Peer, m.dialled(c.Peer)) })
		case network.NotConnected:
			select {
			case m.lost <- c.Peer:
			default:
			}
		}
	}
}

func (m *Mesh) dialled(id peer.ID) bool {
	return slices.ContainsFunc(m.host.Network().ConnsToPeer(id), func(c network.Conn) bool {
		return c.Stat().Direction == network.DirOutbound
	})
}

const rosterTag = "shoal-roster" // of the connections that are kept

// followRoster keeps the connections of roster peers from being trimmed.
func (m *Mesh) followRoster(w *Watch) {
	here := make(map[peer.ID]uint64) // boot IDs
	for {
		c, err := w.Next(m.ctx)
		if err != nil {
			return
		}
		p := c.Peer
		if p.Self {
			continue
		}
		if c.Gone {
			delete(here, p.ID)
			m.host.ConnManager().Unprotect(p.ID, rosterTag)
			m.log.Info("peer gone", zap.Stringer("peer", p.ID), zap.String("why", c.Why))
			continue
		}
		m.known.saw(p)
		if boot, ok := here[p.ID]; !ok || boot != p.Boot {
			here[p.ID] = p.Boot
			m.host.ConnManager().Protect(p.ID, rosterTag)
			m.log.Info("peer joined", zap.Stringer("peer", p.ID), zap.Any("labels", p.Labels))
			notify(m.met)
		}
	}
}

// reset resets a stream without waiting. To tell the peer can take as long as the
// connection lives, if the peer is frozen.
func (m *Mesh) reset(s network.Stream) {
	if !m.endings.Go(func() { s.Reset() }) {
		s.Reset() // the host is closed
	}
}

// metBefore reports whether this node has ever seen a peer to be a member of its
// swarm.
func (m *Mesh) metBefore(id peer.ID) bool {
	_, here := m.roster.Get(id)
	return here || m.known.has(id)
}

// notify leaves a token in a channel of one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// tasks are the goroutines of something that closes: none starts after Wait.
type tasks struct {
	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// Go runs f in a goroutine of its own, unless Wait was called.
func (t *tasks) Go(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.wg.Go(f)
	}
	return !t.closed
}

// Do runs f in the caller's goroutine, unless Wait was called.
func (t *tasks) Do(f func()) bool {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return false
	}
	t.wg.Add(1)
	t.mu.Unlock()
	defer t.wg.Done()
	f()
	return true
}

// Wait lets no more start and waits for those that run.
func (t *tasks) Wait() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.wg.Wait()
}
