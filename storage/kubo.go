package storage

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/client"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/exchange"
	"github.com/ipfs/boxo/exchange/offline"
	"github.com/ipfs/boxo/ipld/merkledag"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/ipfs/kubo/config"
	"github.com/ipfs/kubo/core/node"
	"github.com/ipfs/kubo/core/node/helpers"
	"github.com/ipfs/kubo/repo"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/routing"
	routedhost "github.com/libp2p/go-libp2p/p2p/host/routed"
	"go.uber.org/fx"
	"go.uber.org/zap"
)

// kubo is what the store uses of Kubo.
type kubo struct {
	blocks blockstore.GCBlockstore
	dag    ipld.DAGService // asks peers for what is not here
	local  ipld.DAGService // knows only what is here
	// service stores blocks and tells peers that wait for them.
	service blockservice.BlockService
	damage  *damage
	app     *fx.App
	cancel  context.CancelFunc
}

// newKubo joins Kubo's own modules (kubo/core/node), and newBitswap, to a node
// that stores, serves and fetches. core.NewNode would join all of them,
// and is not used for three reasons:
//
//   - It writes process-wide variables of the UnixFS library on every call,
//     which races with every other node of the process that is at work. Several
//     nodes in one process are a supported use.
//   - It builds name resolution, name republishing, a bootstrapper, mDNS,
//     delegated routers and a second set of libp2p services, to be turned off
//     again one by one, some of them by environment variables. What is not built
//     cannot reach out of a private swarm, nor be turned on from outside.
//   - It closes the host that it is given, and the mesh lives on the same one.
//
// Nothing here listens, dials for anything but a block that was asked for, or is
// steered by environment variables.
func newKubo(r repo.Repo, h host.Host, rt routing.Routing, log *zap.Logger) (*kubo, error) {
	conf, err := r.Config()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &kubo{cancel: cancel}
	k.app = fx.New(
		fx.NopLogger,
		fx.Provide(
			func() helpers.MetricsCtx { return ctx },
			func() repo.Repo { return r },
			func() host.Host { return h },
			func() routing.Routing { return rt },
		),
		node.Storage(&node.BuildCfg{Online: true, Permanent: true}, conf),
		node.OfflineProviders(), // Store.Run announces the roots
		fx.Provide(
			newBitswap,
			node.BlockService(conf),
			node.Dag,
		),
		fx.Decorate(func(b blockstore.GCBlockstore) (blockstore.GCBlockstore, blockstore.Blockstore) {
			k.damage = newDamage(b, filepath.Join(r.Path(), blocksDir), log)
			return k.damage, k.damage
		}),
		fx.Populate(&k.blocks, &k.service, &k.dag),
	)
	if err := k.app.Err(); err != nil {
		cancel()
		return nil, fmt.Errorf("building the IPFS node: %w", err)
	}
	if err := k.app.Start(ctx); err != nil {
		cancel()
		return nil, fmt.Errorf("starting the IPFS node: %w", err)
	}
	k.local = merkledag.NewDAGService(blockservice.New(k.blocks, offline.Exchange(k.blocks)))
	return k, nil
}

// close stops the block service and Bitswap. It touches neither the
// host, the routing nor the repository.
func (k *kubo) close() error {
	defer k.cancel()
	if err := k.app.Stop(context.Background()); err != nil {
		return fmt.Errorf("stopping the IPFS node: %w", err)
	}
	return nil
}

// newBitswap stands in for Kubo's module of that name, which lets the manager of
// its provider searches run on after the node was stopped.
func newBitswap(ctx helpers.MetricsCtx, lc fx.Lifecycle, h host.Host, rt routing.Routing, blocks blockstore.GCBlockstore) exchange.Interface {
	net := bsnet.NewFromIpfsHost(routedhost.Wrap(h, rt)) // a provider that is known by its ID alone is looked up
	b := bitswap.New(helpers.LifecycleCtx(ctx, lc), net, rt, blocks,
		// The wait before peers that are not connected are looked for. Kubo's
		// second is meant for the public network; here it would be the time to
		// the first byte.
		bitswap.ProviderSearchDelay(50*time.Millisecond),
		// With Kubo's 1 MiB a peer would be served one block at a time.
		bitswap.MaxOutstandingBytesPerPeer(16<<20),
		bitswap.EngineBlockstoreWorkerCount(16), // the disks of small boxes have no use for 128
		// Off, so that every connected peer is asked. Kubo's peers are thousands
		// of strangers, and it asks only those that answered before.
		bitswap.WithClientOption(client.BroadcastControlEnable(false)),
	)
	lc.Append(fx.StopHook(b.Close))
	return b
}

// kuboConfig is the whole configuration. The second half concerns modules that
// newKubo does not build: whoever adds one finds its doors closed.
func kuboConfig() *config.Config {
	c := new(config.Config)
	c.Datastore.HashOnRead = true // a damaged block is an error, never a wrong result
	c.Datastore.BlockKeyCacheSize = *config.NewOptionalInteger(8 << 10)

	c.HTTPRetrieval.Enabled = config.False
	c.AutoConf.Enabled = config.False
	c.AutoTLS.Enabled = config.False
	c.Version.SwarmCheckEnabled = config.False
	c.Provide.Enabled = config.False
	c.Provide.DHT.SweepEnabled = config.False
	c.Internal.CGNATCheck = config.False
	c.Internal.DeadListenerCheck = config.False
	c.Swarm.DisableNatPortMap = true
	c.Swarm.RelayService.Enabled = config.False
	c.Swarm.Transports.Network.QUIC = config.False
	c.Swarm.Transports.Network.WebTransport = config.False
	c.Swarm.Transports.Network.WebRTCDirect = config.False
	c.Swarm.Transports.Network.Websocket = config.False
	return c
}
