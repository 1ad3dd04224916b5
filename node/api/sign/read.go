package sign

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"

	"github.com/dunglas/httpsfv"
)

// maxField bounds the headers of a signature, in bytes, before they are parsed;
// this package's take 300.
const maxField = 2 << 10

// What is wrong with a request.
var (
	ErrUnsigned  = errors.New("the request is not signed")
	ErrMalformed = errors.New("the signature cannot be read")
	ErrForged    = errors.New("the signature is wrong")
)

// Signature is what a request claims. Nothing of it is true before Verify says so.
type Signature struct {
	Key   Key
	Nonce string
	Node  string // the peer ID of the node that was meant

	base      []byte // what was signed
	signature []byte
	digest    *digest // of the body; nil if it has none
}

// Read reads the signature of r, and touches no body. Its errors are ErrUnsigned
// and ErrMalformed.
func Read(r *http.Request) (*Signature, error) {
	if len(r.Header.Values(headerInput)) == 0 && len(r.Header.Values(headerSignature)) == 0 {
		return nil, ErrUnsigned
	}
	s, err := read(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return s, nil
}

func read(r *http.Request) (*Signature, error) {
	inputLabel, input, err := only(r, headerInput)
	if err != nil {
		return nil, err
	}
	params, ok := input.(httpsfv.InnerList)
	if !ok {
		return nil, fmt.Errorf("%s has no list of components", headerInput)
	}
	signatureLabel, value, err := only(r, headerSignature)
	if err != nil {
		return nil, err
	}
	item, ok := value.(httpsfv.Item)
	if !ok || signatureLabel != inputLabel {
		return nil, fmt.Errorf("%s and %s do not belong together", headerInput, headerSignature)
	}
	s := new(Signature)
	if s.signature, ok = item.Value.([]byte); !ok || len(s.signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("the signature does not have the %d bytes of one", ed25519.SignatureSize)
	}
	if s.digest, err = readDigest(r); err != nil {
		return nil, err
	}
	if err := covers(r, params); err != nil {
		return nil, err
	}
	if err := s.params(params.Params); err != nil {
		return nil, err
	}
	s.Node = r.Header.Get(headerNode)
	s.base, err = base(r, params)
	return s, err
}

// params takes what the signature says of itself.
func (s *Signature) params(p *httpsfv.Params) error {
	text := func(name string) string {
		v, _ := p.Get(name)
		t, _ := v.(string)
		return t
	}
	if text("tag") != tag {
		return fmt.Errorf("its tag is not %q", tag)
	}
	if _, given := p.Get("alg"); given && text("alg") != algorithm {
		return fmt.Errorf("its algorithm is not %q", algorithm)
	}
	if s.Nonce = text("nonce"); s.Nonce == "" {
		return errors.New("it has no nonce")
	}
	var err error
	if s.Key, err = ParseKey(text("keyid")); err != nil {
		return fmt.Errorf("its keyid: %w", err)
	}
	return nil
}

// only is the one member of a header that is a dictionary.
func only(r *http.Request, header string) (label string, m httpsfv.Member, err error) {
	values := r.Header.Values(header)
	if len(values) != 1 {
		return "", nil, fmt.Errorf("the header %s must be there once, and is there %d times", header, len(values))
	}
	if len(values[0]) > maxField {
		return "", nil, fmt.Errorf("the header %s is longer than %d bytes", header, maxField)
	}
	d, err := httpsfv.UnmarshalDictionary(values)
	if err != nil || len(d.Names()) != 1 {
		return "", nil, fmt.Errorf("the header %s is no dictionary of one member", header)
	}
	label = d.Names()[0]
	m, _ = d.Get(label)
	return label, m, nil
}

// Verify is nil if the owner of Key signed what was read, and ErrForged if not.
func (s *Signature) Verify() error {
	if !ed25519.Verify(s.Key[:], s.base, s.signature) {
		return ErrForged
	}
	return nil
}
