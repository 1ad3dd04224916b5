//go:build lab

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// kuboVersion is the IPFS daemon that Shoal is tried against: the latest that
// builds outside of its own repository.
const kuboVersion = "v0.42.0"

func kuboDir() string { return filepath.Join(binDir(), "kubo-"+kuboVersion) }

// buildKubo builds Kubo as its authors publish it, from a copy of its module, with
// the versions of everything that they chose. The binary stays in bin.
var buildKubo = sync.OnceValue(func() error {
	binary := filepath.Join(kuboDir(), "ipfs")
	if _, err := os.Stat(binary); err == nil {
		return nil
	}
	began := time.Now()
	var module struct{ Dir, Error string }
	// The exit code says less than the JSON does.
	out, err := exec.CommandContext(interrupted, "go", "mod", "download", "-json", "github.com/ipfs/kubo@"+kuboVersion).Output()
	if jerr := json.Unmarshal(out, &module); jerr != nil || module.Error != "" {
		return fmt.Errorf("downloading Kubo: %w %s", err, module.Error)
	}
	source, err := os.MkdirTemp("", prefix()+"kubo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(source)
	if err := os.CopyFS(source, os.DirFS(module.Dir)); err != nil {
		return fmt.Errorf("copying Kubo: %w", err)
	}
	if err := os.MkdirAll(kuboDir(), 0o755); err != nil {
		return err
	}
	// Below everything else: other tests run beside it.
	build := exec.CommandContext(interrupted, "nice", "-n", "19", "go", "build", "-trimpath", "-buildvcs=false", "-o", binary+".new", "./cmd/ipfs")
	build.Dir = source
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building Kubo: %w\n%s", err, tail(string(out)))
	}
	fmt.Printf("lab: built Kubo %s in %d s\n", kuboVersion, int(time.Since(began).Seconds()))
	return os.Rename(binary+".new", binary)
})

// ipfs is a Kubo that runs at a host.
type ipfs struct {
	*process
	id  string
	p2p string // its multiaddr at the host's address
}

// ipfs starts an unmodified Kubo for the private swarm of a member, whose key and
// address are all that it is given.
func (h *host) ipfs(member *node) *ipfs {
	h.Helper()
	if err := buildKubo(); err != nil {
		h.Fatal(err)
	}
	h.sh("ipfs init")
	key, err := os.ReadFile(filepath.Join(member.home(), "swarm.key")) // in Kubo's own format
	if err != nil {
		h.Fatal(err)
	}
	h.write("ipfs/swarm.key", string(key))
	for _, line := range kuboPrivate {
		h.sh("ipfs " + line)
	}
	addr, _, _ := strings.Cut(member.p2p, "/p2p/")
	h.sh(fmt.Sprintf(`ipfs config --json Peering.Peers '[{"ID": "%s", "Addrs": ["%s"]}]'`, member.id, addr))
	k := &ipfs{process: h.start("LIBP2P_FORCE_PNET=1 IPFS_TELEMETRY=off ipfs daemon")}
	k.says("Daemon is ready")
	k.id = firstWord(h.sh("ipfs id -f '<id>'"))
	k.p2p = "/ip4/" + h.addr.String() + "/tcp/4001/p2p/" + k.id
	k.connected(member)
	// Bitswap does not carry a block without content. Shoal makes the one of empty
	// files where it is needed; Kubo has to be told once.
	h.sh("ipfs add -Q --cid-version=1 --raw-leaves </dev/null")
	return k
}

// kuboPrivate is what makes Kubo ready for a private swarm: it refuses to start in
// one while it is to ask the public network for its configuration. The member is
// given as a peer to stay with, not as one to bootstrap from: to those Kubo 0.42
// may connect before its Bitswap takes note, and then never asks them for a block.
var kuboPrivate = []string{
	"bootstrap rm all",
	"config --json AutoConf.Enabled false",
	"config --json AutoTLS.Enabled false",
	"config --json DNS.Resolvers '{}'",
	"config --json Routing.DelegatedRouters '[]'",
	"config --json Ipns.DelegatedPublishers '[]'",
	"config Routing.Type dht",
}

// connected waits until Kubo is connected to a node.
func (k *ipfs) connected(n *node) {
	k.Helper()
	k.until("it is connected to "+n.name, func(context.Context) bool {
		out, err := k.command("ipfs swarm peers").Output()
		return err == nil && strings.Contains(string(out), n.id)
	})
}
