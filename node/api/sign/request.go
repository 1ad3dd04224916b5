package sign

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"

	"github.com/dunglas/httpsfv"
)

const label = "shoal"

// Request signs r with key, for the node with the peer ID that is given and with
// a nonce of its making. If r has a body, SetDigest comes first.
func Request(r *http.Request, key ed25519.PrivateKey, node, nonce string) error {
	if r.Body != nil && r.Body != http.NoBody && r.Header.Get(headerDigest) == "" {
		return errors.New("a request with a body cannot be signed without its digest")
	}
	r.Header.Set(headerNode, node)
	params := httpsfv.InnerList{Params: httpsfv.NewParams()}
	for _, name := range components(r) {
		params.Items = append(params.Items, httpsfv.NewItem(name))
	}
	params.Params.Add("keyid", KeyOf(key).String())
	params.Params.Add("nonce", nonce)
	params.Params.Add("alg", algorithm)
	params.Params.Add("tag", tag)
	text, err := base(r, params)
	if err != nil {
		return fmt.Errorf("sign the request: %w", err)
	}
	if err := set(r, headerInput, params); err != nil {
		return err
	}
	return set(r, headerSignature, httpsfv.NewItem(ed25519.Sign(key, text)))
}

// SetDigest tells the SHA-256 of r's body.
func SetDigest(r *http.Request, sum [sha256.Size]byte) error {
	d := httpsfv.NewDictionary()
	d.Add(digestName, httpsfv.NewItem(sum[:]))
	v, err := httpsfv.Marshal(d)
	if err != nil {
		return fmt.Errorf("write the digest: %w", err)
	}
	r.Header.Set(headerDigest, v)
	return nil
}

// set makes m the one member of a header that is a dictionary.
func set(r *http.Request, header string, m httpsfv.Member) error {
	d := httpsfv.NewDictionary()
	d.Add(label, m)
	v, err := httpsfv.Marshal(d)
	if err != nil {
		return fmt.Errorf("write the header %s: %w", header, err)
	}
	r.Header.Set(header, v)
	return nil
}
