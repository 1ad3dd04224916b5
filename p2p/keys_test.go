package p2p

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
)

func TestLoadIdentity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.key")
	first, err := LoadIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", info.Mode(), err)
	}
	again, err := LoadIdentity(path)
	if err != nil || !again.Equals(first) {
		t.Fatalf("the second load gave another key (%v)", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestLoadIdentityRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.key")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			key, err := LoadIdentity(path)
			if err != nil {
				t.Error(err)
				return
			}
			id, _ := peer.IDFromPrivateKey(key)
			ids[i] = id.String()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("starts at the same time made different identities: %v", ids)
		}
	}
}

func TestRefusedKeyFiles(t *testing.T) {
	dir := t.TempDir()
	key, err := NewSwarmKey()
	if err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(dir, "good")
	if err := key.Save(good); err != nil {
		t.Fatal(err)
	}
	swarmText, _ := os.ReadFile(good)
	idFile := filepath.Join(dir, "id")
	if _, err := LoadIdentity(idFile); err != nil {
		t.Fatal(err)
	}
	idText, _ := os.ReadFile(idFile)
	identity := func(p string) error { _, err := LoadIdentity(p); return err }
	swarm := func(p string) error { _, err := LoadSwarmKey(p); return err }
	for i, c := range []struct {
		load func(string) error
		data []byte
		mode fs.FileMode
		want string
	}{
		{identity, idText, 0o644, "chmod 600"},
		{identity, idText, 0o700, "wider than 0600"},
		{identity, idText[:len(idText)/2], 0o600, "damaged"},
		{identity, nil, 0o600, "damaged"},
		{identity, []byte("CAASAA=="), 0o600, "damaged"},
		{identity, []byte(strings.Repeat("A", identityLimit+1)), 0o600, "longer"},
		{swarm, swarmText, 0o640, "chmod 600"},
		{swarm, swarmText[:len(swarmText)-5], 0o600, "damaged"},
		{swarm, []byte(strings.ReplaceAll(string(swarmText), "base16", "base64")), 0o600, "damaged"},
		{swarm, []byte(swarmKeyHeader + "\n" + swarmKeyEncoding + "\n" + strings.Repeat("0", 64)), 0o600, "damaged"},
		{swarm, nil, 0o600, "damaged"},
	} {
		path := filepath.Join(dir, fmt.Sprint("bad", i))
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		err := c.load(path)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("case %d: error %v; want one with %q and the file's name", i, err, c.want)
		}
		if now, _ := os.ReadFile(path); string(now) != string(c.data) {
			t.Errorf("case %d: the file was changed", i)
		}
	}
	if err := identity(dir); err == nil {
		t.Error("a folder was taken for an identity key")
	}
	if err := swarm(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing swarm key: %v; want fs.ErrNotExist", err)
	}
}

func TestSwarmKeySave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "swarm.key")
	a, _ := NewSwarmKey()
	b, _ := NewSwarmKey()
	for range 2 { // the same key again is fine
		if err := a.Save(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Save(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("another key over it: %v", err)
	}
	got, err := LoadSwarmKey(path)
	if err != nil || got != a {
		t.Errorf("loaded %v, %v; want %v", got, err, a)
	}
	if a.Fingerprint() == b.Fingerprint() || len(a.Fingerprint()) != 16 {
		t.Errorf("fingerprints %s and %s", a.Fingerprint(), b.Fingerprint())
	}
	// The standard decoder, which a stock IPFS node uses, reads the file.
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	psk, err := pnet.DecodeV1PSK(f)
	if err != nil || string(psk) != string(a[:]) {
		t.Errorf("libp2p reads %x, %v", psk, err)
	}
}

func TestSwarmKeyIsNotPrinted(t *testing.T) {
	k := SwarmKey{1, 2, 3}
	text, _ := k.MarshalText()
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%x %d %#v %s", k, k, k, &k), string(text)} {
		if strings.Contains(s, "010203") || strings.Contains(s, "1 2 3") || strings.Contains(s, "0x1, 0x2") {
			t.Errorf("the key shows in %q", s)
		}
	}
}
