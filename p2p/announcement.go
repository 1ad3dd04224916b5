package p2p

import (
	"bytes"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"github.com/multiformats/go-multiaddr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Bounds of an announcement. Its decoder enforces each of them.
const (
	announcementVersion = 1
	announcementType    = 1
	announcementLimit   = 32 << 10 // bytes
	MaxLabels           = 64
	maxLedgers          = 64
	maxLedgerName       = 128 // bytes
	maxAddrs            = 16
	maxAddrSize         = 256 // bytes
)

// ErrIgnore, wrapped by a decoder's error, drops a gossip message without
// blaming the peer that passed it on: for what is sound but not for us.
var ErrIgnore = errors.New("ignored")

// announcement is what a peer says about itself. Whose it is comes from the
// connection or the gossip signature, so no field says it. (Boot, Seq) fences
// replays: Boot is another at each start, Seq grows with each announcement made.
type announcement struct {
	Version uint8             `cbor:"0,keyasint"`
	Type    uint8             `cbor:"1,keyasint"`
	Boot    uint64            `cbor:"2,keyasint"`
	Seq     uint64            `cbor:"3,keyasint"`
	Labels  map[string]string `cbor:"4,keyasint,omitempty"`
	Ledgers []string          `cbor:"5,keyasint,omitempty"`
	Addrs   [][]byte          `cbor:"6,keyasint,omitempty"`
	Leaving bool              `cbor:"7,keyasint,omitempty"`

	addrs []multiaddr.Multiaddr // Addrs, decoded
}

// encMode and decMode are constants in all but syntax: one value has one
// encoding, and no input makes the decoder take more than its own size in memory.
var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   4,
		MaxArrayElements:  128,
		MaxMapPairs:       128,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic("p2p: CBOR options: " + err.Error())
	}
	return v
}

func encodeAnnouncement(a announcement) ([]byte, error) { return encMode.Marshal(a) }

// decodeAnnouncement accepts exactly what encodeAnnouncement makes.
func decodeAnnouncement(b []byte) (announcement, error) {
	var a announcement
	if len(b) > announcementLimit {
		return a, fmt.Errorf("announcement of %d bytes is longer than %d", len(b), announcementLimit)
	}
	// Only the version and type first: another version may have other fields.
	var head struct {
		Version uint8 `cbor:"0,keyasint"`
		Type    uint8 `cbor:"1,keyasint"`
	}
	if err := headMode.Unmarshal(b, &head); err != nil {
		return a, fmt.Errorf("announcement: %w", err)
	}
	if head.Version != announcementVersion || head.Type != announcementType {
		return a, fmt.Errorf("announcement of version %d, type %d: %w", head.Version, head.Type, ErrIgnore)
	}
	if err := decMode.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("announcement: %w", err)
	}
	if again, err := encodeAnnouncement(a); err != nil || !bytes.Equal(again, b) {
		return a, errors.New("announcement is not in deterministic form")
	}
	if err := checkSaid(a.Labels, a.Ledgers); err != nil {
		return a, fmt.Errorf("announcement: %w", err)
	}
	var err error
	if a.addrs, err = decodeAddrs(a.Addrs); err != nil {
		return a, fmt.Errorf("announcement: %w", err)
	}
	return a, nil
}

var headMode = must(cbor.DecOptions{
	DupMapKey:        cbor.DupMapKeyEnforcedAPF,
	IndefLength:      cbor.IndefLengthForbidden,
	TagsMd:           cbor.TagsForbidden,
	MaxNestedLevels:  4,
	MaxArrayElements: 128,
	MaxMapPairs:      128,
}.DecMode())

// checkSaid holds labels to the Kubernetes grammar, so that selectors can name
// them, and ledgers to short printable text.
func checkSaid(labels map[string]string, ledgers []string) error {
	if len(labels) > MaxLabels {
		return fmt.Errorf("%d labels are more than %d", len(labels), MaxLabels)
	}
	for k, v := range labels {
		if why := validation.IsQualifiedName(k); len(why) > 0 {
			return fmt.Errorf("label key %.80q: %s", k, why[0])
		}
		if why := validation.IsValidLabelValue(v); len(why) > 0 {
			return fmt.Errorf("value %.80q of label %s: %s", v, k, why[0])
		}
	}
	if len(ledgers) > maxLedgers {
		return fmt.Errorf("%d ledgers are more than %d", len(ledgers), maxLedgers)
	}
	for _, l := range ledgers {
		if l == "" || len(l) > maxLedgerName || !utf8.ValidString(l) || bytes.ContainsFunc([]byte(l), notPrintable) {
			return fmt.Errorf("ledger %.80q is not 1 to %d bytes of printable text", l, maxLedgerName)
		}
	}
	return nil
}

func notPrintable(r rune) bool { return !unicode.IsPrint(r) }

func encodeAddrs(addrs []multiaddr.Multiaddr) [][]byte {
	var out [][]byte
	for _, a := range addrs {
		if b := a.Bytes(); len(b) <= maxAddrSize && len(out) < maxAddrs {
			out = append(out, b)
		}
	}
	return out
}

func decodeAddrs(raw [][]byte) ([]multiaddr.Multiaddr, error) {
	if len(raw) > maxAddrs {
		return nil, fmt.Errorf("%d addresses are more than %d", len(raw), maxAddrs)
	}
	out := make([]multiaddr.Multiaddr, 0, len(raw))
	for _, b := range raw {
		if len(b) > maxAddrSize {
			return nil, fmt.Errorf("an address of %d bytes is longer than %d", len(b), maxAddrSize)
		}
		a, err := multiaddr.NewMultiaddrBytes(b)
		if err != nil {
			return nil, fmt.Errorf("an address does not decode: %w", err)
		}
		out = append(out, a)
	}
	return out, nil
}

// mergeAddrs joins lists without repetition and, unlike multiaddr.Unique, which
// sorts, in the order given: the first addresses are the likeliest.
func mergeAddrs(lists ...[]multiaddr.Multiaddr) []multiaddr.Multiaddr {
	var out []multiaddr.Multiaddr
	for _, list := range lists {
		for _, a := range list {
			if !multiaddr.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}
