package sign

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// The text of a key is the ID that a peer with that key would have.
func TestKeyIsAPeerID(t *testing.T) {
	for seed := range byte(5) {
		private, err := crypto.UnmarshalEd25519PrivateKey(aKey(seed))
		if err != nil {
			t.Fatal(err)
		}
		id, err := peer.IDFromPrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		k := KeyOf(aKey(seed))
		if k.String() != id.String() {
			t.Errorf("got %s, want %s", k, id)
		}
		if again, err := ParseKey(id.String()); err != nil || again != k {
			t.Errorf("%s: got %s, %v", id, again, err)
		}
		if !strings.HasSuffix(id.String(), k.Short()) || len(k.Short()) != 8 {
			t.Errorf("short: %s", k.Short())
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	good := KeyOf(aKey(1)).String()
	for _, bad := range []string{
		"", "x", "12D3KooW", good[:51], good + "1", "1" + good, " " + good, strings.ToLower(good), strings.Replace(good, "1", "0", 1),
		"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", // the hash of an RSA key
		strings.Repeat("1", 1<<20), "ssh-ed25519", "é",
	} {
		if k, err := ParseKey(bad); err == nil {
			t.Errorf("%.60q is taken for %s", bad, k)
		}
	}
}

func TestLoadKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config", "shoal", "client.key")
	key, err := LoadKey(file)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if again, err := LoadKey(file); err != nil || !again.Equal(key) {
		t.Errorf("another key the second time, %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(left) != 1 {
		t.Errorf("beside the key lies something: %v, %v", left, err)
	}
}

// Two commands at once, at first use, have one key.
func TestLoadKeyAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "client.key")
	keys := make(chan Key, 8)
	var all sync.WaitGroup
	for range cap(keys) {
		all.Go(func() {
			k, err := LoadKey(file)
			if err != nil {
				t.Error(err)
				return
			}
			keys <- KeyOf(k)
		})
	}
	all.Wait()
	close(keys)
	first := <-keys
	for k := range keys {
		if k != first {
			t.Error("there are two keys")
		}
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "client.key")
	if _, err := LoadKey(file); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const rsa = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n" // X25519
	for name, c := range map[string]struct {
		text []byte
		mode os.FileMode
		says string
	}{
		"wide":      {good, 0o640, "wider than 0600"},
		"open":      {good, 0o604, "chmod 600"},
		"empty":     {nil, 0o600, "is damaged"},
		"cut short": {good[:60], 0o600, "is damaged"},
		"one bit":   {bytes.Replace(good, []byte("MC4C"), []byte("MC4D"), 1), 0o600, "is damaged"},
		"other":     {[]byte(rsa), 0o600, "is damaged"},
		"huge":      {bytes.Repeat([]byte("x"), 1<<20), 0o600, "is damaged"},
	} {
		if err := os.WriteFile(file, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := LoadKey(file)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: got %v", name, err)
		}
		if now, _ := os.ReadFile(file); !bytes.Equal(now, c.text) {
			t.Errorf("%s: the file was written over", name)
		}
	}
	if _, err := LoadKey(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
	if err := os.WriteFile(file+"d", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(filepath.Join(file+"d", "client.key")); err == nil {
		t.Error("a key was made below a file")
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(KeyOf(aKey(1)).String())
	f.Add("12D3KooW")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := ParseKey(s); err == nil && k.String() != s {
			t.Errorf("%q is another text of %s", s, k)
		}
	})
}
