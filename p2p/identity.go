package p2p

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"

	"github.com/shoal-mesh/shoal/durable"
)

const identityLimit = 4 << 10 // bytes; an Ed25519 key takes 93

// LoadIdentity reads the Ed25519 key that is this node's identity, or makes it,
// with mode 0600, if the file is not there. It refuses a file that others may
// read and one that is damaged, and never writes over either: a new key would be
// a new peer, unknown to every job of the old one.
//
// The file holds the libp2p form of the key in base64, as Kubo's config does.
func LoadIdentity(path string) (crypto.PrivKey, error) {
	key, err := readIdentity(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	key, _, err = crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making an identity key: %w", err)
	}
	raw, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("making an identity key: %w", err)
	}
	err = durable.Create(path, []byte(base64.StdEncoding.EncodeToString(raw)+"\n"))
	if errors.Is(err, fs.ErrExist) { // another start made it in between
		return readIdentity(path)
	}
	if err != nil {
		return nil, fmt.Errorf("writing the identity key %s: %w", path, err)
	}
	return key, nil
}

func readIdentity(path string) (crypto.PrivKey, error) {
	data, err := durable.ReadSecret(path, "identity key", identityLimit)
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(data)))
	if err != nil {
		return nil, damagedIdentity(path)
	}
	key, err := crypto.UnmarshalPrivateKey(raw)
	if err != nil || key.Type() != pb.KeyType_Ed25519 {
		return nil, damagedIdentity(path)
	}
	return key, nil
}

// damagedIdentity leaves out the decoder's own words, which could quote the key.
func damagedIdentity(path string) error {
	return fmt.Errorf("identity key %s is damaged: restore it from a backup, or move it away to start as a new peer", path)
}
