package p2p

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/shoal-mesh/shoal/durable"
)

// SwarmKey is the pre-shared key of a private swarm: who has it is a member.
// Formatting and marshalling one shows its fingerprint, so that no log, error or
// dump can carry the key itself.
type SwarmKey [32]byte

const (
	swarmKeyHeader   = "/key/swarm/psk/1.0.0/"
	swarmKeyEncoding = "/base16/"
	swarmKeyLimit    = 4 << 10 // bytes
	fingerprintSize  = 10      // bytes; 16 characters of text
	fingerprintLabel = "shoal swarm fingerprint v1"
)

// text32 is for what people copy: one case, no punctuation.
var text32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewSwarmKey makes the key of a new private swarm.
func NewSwarmKey() (SwarmKey, error) {
	var k SwarmKey
	if _, err := rand.Read(k[:]); err != nil {
		return k, fmt.Errorf("making a swarm key: %w", err)
	}
	return k, nil
}

// LoadSwarmKey reads a key in the file format that IPFS nodes share
// (/key/swarm/psk/1.0.0/ in base16). A missing file is fs.ErrNotExist; one that
// others may read, or that is damaged, is refused and left as it is.
func LoadSwarmKey(path string) (SwarmKey, error) {
	data, err := durable.ReadSecret(path, "swarm key", swarmKeyLimit)
	if err != nil {
		return SwarmKey{}, err
	}
	lines := strings.Fields(string(data))
	if len(lines) != 3 || lines[0] != swarmKeyHeader || lines[1] != swarmKeyEncoding {
		return SwarmKey{}, damagedSwarmKey(path)
	}
	raw, err := hex.DecodeString(lines[2])
	if err != nil || len(raw) != len(SwarmKey{}) {
		return SwarmKey{}, damagedSwarmKey(path)
	}
	k := SwarmKey(raw)
	if k == (SwarmKey{}) {
		return SwarmKey{}, damagedSwarmKey(path)
	}
	return k, nil
}

func damagedSwarmKey(path string) error {
	return fmt.Errorf("swarm key %s is damaged: copy it again from a member of the swarm, or move it away and join with a token", path)
}

// Save writes the key to a new file of mode 0600, whole or not at all. It does
// nothing if the file holds this key already, and fails rather than write over
// anything else: a swarm whose last copy of the key is lost is lost.
func (k SwarmKey) Save(path string) error {
	text := swarmKeyHeader + "\n" + swarmKeyEncoding + "\n" + hex.EncodeToString(k[:]) + "\n"
	err := durable.Create(path, []byte(text))
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("writing the swarm key %s: %w", path, err)
	}
	old, err := LoadSwarmKey(path)
	if err != nil {
		return fmt.Errorf("writing the swarm key: a file is there already: %w", err)
	}
	if old != k {
		return fmt.Errorf("writing the swarm key: %s holds the key of another swarm (%s, not %s): move it away, or use another home", path, old.Fingerprint(), k.Fingerprint())
	}
	return nil
}

// Fingerprint names the swarm in 16 characters that tell nothing about the key.
func (k SwarmKey) Fingerprint() string {
	fp := k.fingerprint()
	return text32.EncodeToString(fp[:])
}

func (k SwarmKey) fingerprint() [fingerprintSize]byte {
	return [fingerprintSize]byte(k.derive(nil, fingerprintLabel, fingerprintSize))
}

// derive is HKDF-SHA256 of the key. It cannot fail for the lengths used here.
func (k SwarmKey) derive(salt []byte, info string, size int) []byte {
	out, err := hkdf.Key(sha256.New, k[:], salt, info, size)
	if err != nil {
		panic("p2p: deriving from the swarm key: " + err.Error())
	}
	return out
}

// Format writes the fingerprint, whatever the verb.
func (k SwarmKey) Format(s fmt.State, _ rune) { io.WriteString(s, "swarm "+k.Fingerprint()) }

// MarshalText gives the fingerprint.
func (k SwarmKey) MarshalText() ([]byte, error) { return []byte("swarm " + k.Fingerprint()), nil }
