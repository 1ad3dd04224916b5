package sign

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/shoal-mesh/shoal/durable"
)

const (
	pemType    = "PRIVATE KEY" // PKCS #8, which every other language reads as well
	maxKeyFile = 4 << 10       // bytes; an Ed25519 key takes 119
)

// LoadKey reads the private key of a client, or makes it, with mode 0600 and in
// a folder of mode 0700, if the file is not there. It refuses a file that others
// may read and one that is damaged, and never writes over either: a new key
// would be listed nowhere.
func LoadKey(path string) (ed25519.PrivateKey, error) {
	key, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, key, err = ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a client key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make a client key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make a folder for the client key: %w", err)
	}
	err = durable.Create(path, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}))
	if errors.Is(err, fs.ErrExist) { // another command made it in between
		return readKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("write the client key %s: %w", path, err)
	}
	return key, nil
}

// readKey reads a file that only its owner may read.
func readKey(path string) (ed25519.PrivateKey, error) {
	data, err := durable.ReadSecret(path, "client key", maxKeyFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != pemType {
		return nil, damaged(path)
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := any.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, damaged(path)
	}
	return key, nil
}

// damaged leaves out the decoder's own words, which could quote the key.
func damaged(path string) error {
	return fmt.Errorf("the client key %s is damaged, or no Ed25519 key in PEM: restore it from a backup, or move it away to have a new one made, which every node must then be told of", path)
}
