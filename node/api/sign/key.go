package sign

import (
	"bytes"
	"crypto/ed25519"
	"errors"

	"github.com/multiformats/go-multihash"
)

// Key is the public key of a client.
type Key [ed25519.PublicKeySize]byte

// keyPrefix begins the libp2p form of an Ed25519 public key: a protocol buffer
// with the type 1 and 32 bytes.
var keyPrefix = []byte{0x08, 0x01, 0x12, 0x20}

// maxKeyText is more than the text of any key has, in bytes: decoding takes the
// square of the length.
const maxKeyText = 64

var errKey = errors.New("it is no key: one looks like 12D3KooW… and has 52 characters")

// KeyOf is the public half of a private key.
func KeyOf(private ed25519.PrivateKey) (k Key) {
	copy(k[:], private.Public().(ed25519.PublicKey))
	return k
}

// ParseKey reads the text of a key, which is that of a peer's ID: 12D3KooW…,
// with the whole key in it.
func ParseKey(s string) (k Key, err error) {
	if len(s) > maxKeyText {
		return k, errKey
	}
	m, err := multihash.FromB58String(s)
	if err != nil {
		return k, errKey
	}
	d, err := multihash.Decode(m)
	if err != nil || d.Code != multihash.IDENTITY || len(d.Digest) != len(keyPrefix)+len(k) || !bytes.HasPrefix(d.Digest, keyPrefix) {
		return k, errKey
	}
	copy(k[:], d.Digest[len(keyPrefix):])
	return k, nil
}

// String is the text of the key.
func (k Key) String() string {
	m, err := multihash.Encode(append(bytes.Clone(keyPrefix), k[:]...), multihash.IDENTITY)
	if err != nil {
		panic(err) // any bytes can be their own hash
	}
	return multihash.Multihash(m).B58String()
}

// MarshalText is String.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Short is the end of the key's text, by which people tell keys apart.
func (k Key) Short() string { s := k.String(); return s[len(s)-8:] }
