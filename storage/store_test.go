package storage

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/shoal-mesh/shoal/storage/storagetest"
)

func TestConformance(t *testing.T) {
	storagetest.Test(t, func(t *testing.T) storagetest.Storer {
		p := newPeer(t)
		p.patience = testPatience
		return p.Store
	})
}

// The same content must have the same CID in every version of Shoal, and in
// every other IPFS node with the same profile.
func TestCIDsAreThoseOfIPFS(t *testing.T) {
	p, dir := newPeer(t), t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "nothing"), "")
	write(t, filepath.Join(dir, "hello"), "hello world")
	for name, want := range map[string]string{
		"hello":   "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e",
		"nothing": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
		"empty":   "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354",
	} {
		if got := mustPut(t, p.Store, filepath.Join(dir, name)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestRestartKeepsBlocksAndPins(t *testing.T) {
	p := newPeer(t)
	c := mustPut(t, p.Store, write(t, filepath.Join(t.TempDir(), "book"), "text"))
	other := mustPut(t, p.Store, write(t, filepath.Join(t.TempDir(), "other"), "other"))
	if _, err := p.Unpin(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p.open(t)
	if got := fetched(t, p.Store, c); got != "text" {
		t.Errorf("got %q", got)
	}
	pins := p.pins(t)
	if len(pins) != 1 || pins[0] != (PinInfo{CID: c, Name: "book", By: Job, Since: pins[0].Since, Size: 4}) {
		t.Errorf("the pins are %v", pins)
	}
	if _, err := p.Unpin(t.Context(), other); !errors.Is(err, ErrNotPinned) {
		t.Errorf("unpinning twice: %v", err)
	}
}

func TestSecondOpenSaysWhoHasIt(t *testing.T) {
	p := newPeer(t)
	_, err := Open(t.Context(), p.config(), zaptest.NewLogger(t))
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("want a LockedError with this process, got %v", err)
	}
}

func TestDamageStopsAndDeletesNothing(t *testing.T) {
	for name, damage := range map[string]struct {
		file   string // what the error must name
		damage func(t *testing.T, dir string)
	}{
		"newer":       {versionFile, func(t *testing.T, dir string) { write(t, filepath.Join(dir, versionFile), "shoal-store 99\n") }},
		"garbage":     {versionFile, func(t *testing.T, dir string) { write(t, filepath.Join(dir, versionFile), "\x00\x01") }},
		"no version":  {versionFile, func(t *testing.T, dir string) { remove(t, filepath.Join(dir, versionFile)) }},
		"no blocks":   {blocksDir, func(t *testing.T, dir string) { remove(t, filepath.Join(dir, blocksDir)) }},
		"blocks":      {blocksDir, func(t *testing.T, dir string) { write(t, filepath.Join(dir, blocksDir, "SHARDING"), "?") }},
		"older":       {versionFile, func(t *testing.T, dir string) { write(t, filepath.Join(dir, versionFile), "shoal-store 1\n") }},
		"empty":       {versionFile, func(t *testing.T, dir string) { write(t, filepath.Join(dir, versionFile), "") }},
		"lost shards": {blocksDir, func(t *testing.T, dir string) { remove(t, filepath.Join(dir, blocksDir, "SHARDING")) }},
		"no roots":    {rootsDir, func(t *testing.T, dir string) { remove(t, filepath.Join(dir, rootsDir)) }},
		"roots":       {rootsDir, func(t *testing.T, dir string) { write(t, filepath.Join(dir, rootsDir, "SHARDING"), "?") }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			mustPut(t, p.Store, write(t, filepath.Join(t.TempDir(), "book"), "text"))
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			damage.damage(t, p.dir)
			before := storagetest.Read(t, p.dir)
			for range 2 { // the first attempt must not make the second one pass
				_, err := Open(t.Context(), p.config(), zaptest.NewLogger(t))
				var format *FormatError
				if !errors.As(err, &format) || format.File != filepath.Join(p.dir, damage.file) {
					t.Fatalf("want a FormatError for %s, got %v", damage.file, err)
				}
			}
			after := storagetest.Read(t, p.dir)
			for path, what := range before {
				if _, ok := after[path]; !ok && !strings.HasPrefix(filepath.Base(path), ".temp") {
					t.Errorf("%s (%.20q) was deleted", path, what)
				}
			}
		})
	}
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func TestFoundingThatWasCutShortGoesOn(t *testing.T) {
	p := newPeer(t)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	remove(t, filepath.Join(p.dir, versionFile))
	p.open(t)
}

func TestSeveralStoresInOneProcess(t *testing.T) {
	var all sync.WaitGroup
	for range 4 {
		p := newHost(t)
		p.dir = t.TempDir()
		src := write(t, filepath.Join(t.TempDir(), "folder", "x"), "x")
		log := zaptest.NewLogger(t)
		all.Go(func() {
			s, err := Open(t.Context(), p.config(), log)
			if err != nil {
				t.Error(err)
				return
			}
			if _, _, err := s.Put(t.Context(), filepath.Dir(src), ""); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// What nobody has keeps these calls waiting, so Close is what ends them.
func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	p := newHost(t)
	p.dir = t.TempDir()
	before := goleak.IgnoreCurrent()
	s, err := Open(t.Context(), p.config(), zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ended := make(chan error)
	for _, call := range []func() error{
		func() error { return s.Fetch(t.Context(), unknownCID, filepath.Join(dir, "out")) },
		func() error { _, err := s.Pin(t.Context(), unknownCID, ""); return err },
		func() error { return s.Ls(t.Context(), unknownCID, func(Entry) error { return nil }) },
		func() error { return s.Run(t.Context()) },
	} {
		go func() { ended <- call() }()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if err := <-ended; err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("want ErrClosed, got %v", err)
		}
	}
	isEmpty(t, dir)
	goleak.VerifyNone(t, before,
		// The host, which goes on, starts this one some time after it was made.
		goleak.IgnoreAnyFunction("github.com/libp2p/go-libp2p/p2p/protocol/identify.(*idService).loop.func1"))

	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if err := s.Pins(t.Context(), "", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: want ErrClosed, got %v", err)
	}
	if len(p.host.Addrs()) == 0 || p.host.Network().ListenAddresses() == nil {
		t.Error("the host was closed as well")
	}
}

// Environment variables that turn on parts of a stock Kubo turn on nothing here.
func TestEnvironmentOpensNoDoor(t *testing.T) {
	var calls atomic.Int32
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer web.Close()
	for name, value := range map[string]string{
		"IPFS_HTTP_ROUTERS": web.URL, "IPFS_TELEMETRY": "on", "LIBP2P_RCMGR": "1", "IPFS_PATH": t.TempDir(),
		"HTTP_PROXY": web.URL, "HTTPS_PROXY": web.URL, "IPFS_NS_MAP": "example.com:/ipfs/" + unknownCID,
	} {
		t.Setenv(name, value)
	}
	p := newPeer(t)
	p.patience = testPatience
	mustPut(t, p.Store, write(t, filepath.Join(t.TempDir(), "book"), "text"))
	if err := p.Fetch(t.Context(), unknownCID, filepath.Join(t.TempDir(), "out")); err == nil {
		t.Error("something was fetched")
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d requests went out", n)
	}
}

const unknownCID = "bafkreidon73zkcrwdb5iafqtijxildoonbwnpv7dyd6ef3qdgads2jc4su"

// A node that is stopped as soon as it is ready ends Run before it has begun.
func TestRunOfWhatHasEnded(t *testing.T) {
	p := newPeer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil {
		t.Errorf("with a ctx that has ended: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Errorf("of a closed store: %v", err)
	}
	p.open(t)
}
