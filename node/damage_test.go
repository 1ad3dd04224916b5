package node

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// Files of a home that are damaged, or of a later version, stop the node with a
// message that names them, and are left as they are. (Keys have tests of their own,
// and so has the store.)
func TestDamagedFilesAreNamedAndKept(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true})
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, file string
		damage     func(t *testing.T, path string)
		want       []string
	}{
		{"ledger of noise", "ledger.db", fill(bytes.Repeat([]byte("noise"), 20_000)), []string{"ledger.db", "damaged"}},
		{"ledger that is cut", "ledger.db", cut(5000), []string{"ledger.db", "damaged"}},
		{"ledger of a page", "ledger.db", cut(100), []string{"ledger.db", "damaged"}},
		{"ledger of a newer node", "ledger.db", newer, []string{"ledger.db", "newer"}},
		{"boot that is no number", "boot", fill([]byte("soon\n")), []string{"/boot is damaged", "no number"}},
		{"boot of nothing", "boot", fill(nil), []string{"/boot is damaged"}},
		{"peers of noise", "peers.json", fill([]byte("{")), []string{"peers.json", "damaged", "move the file away"}},
		{"peers of a newer node", "peers.json", fill([]byte(`{"version":9}`)), []string{"peers.json", "format 9", "upgrade"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			home := t.TempDir()
			for _, f := range []string{"identity.key", "swarm.key", "ledger.db", "boot"} {
				b, err := os.ReadFile(filepath.Join(a.home, f))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(home, f), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(home, tc.file)
			tc.damage(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = tryStart(t, Config{Home: home})
			if err == nil {
				t.Fatal("it started")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was changed: %d bytes, then %d, %v", len(before), len(after), err)
			}
			// It gave the home free.
			if h, err := openHome(home); err != nil {
				t.Errorf("the home is still in use: %v", err)
			} else if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func fill(data []byte) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func cut(n int64) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		if err := os.Truncate(path, n); err != nil {
			t.Fatal(err)
		}
	}
}

// newer makes a ledger one of a later format: whatever says the format says 99.
func newer(t *testing.T, path string) {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("meta"))
		if b == nil || b.Get([]byte("format")) == nil {
			return fmt.Errorf("the ledger keeps its format elsewhere now")
		}
		return b.Put([]byte("format"), []byte("99"))
	}); err != nil {
		t.Fatal(err)
	}
}
