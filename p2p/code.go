package p2p

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/flynn/noise"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Why a code lets nobody in; test with errors.Is. The text of the errors that wrap
// them says what to do next.
var (
	ErrCodeMalformed = errors.New("the join code is incomplete or mistyped")
	ErrCodeWrong     = errors.New("the join code's secret is not the right one")
)

// A Code lets one machine into a swarm without a token: the joiner makes it and
// shows it, a person types it at any member, and it is the secret of their
// handshake. It has 80 random bits. Whoever records the joiner's request can test
// guesses against it at leisure: that takes 2^80 tries, for this one request, as
// its nonce salts the secret, and gains nothing once the joiner has stopped to
// wait, as a recorded answer cannot be read even with the code (see
// joinHandshake).
//
// Formatting a Code does not show it: only Text does.
type Code [codeSize]byte

const (
	codeSize    = 10 // bytes; 16 characters of text, and one that checks them
	codeLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	codeLabel   = "shoal join code v1"
	codeVersion = 2 // of a request to join; 1 is one with a token
	codeGroup   = 4 // characters
)

var (
	codeText = base32.NewEncoding(codeLetters).WithPadding(base32.NoPadding)
	// What people write for a letter that is not in the alphabet.
	codeTypos = strings.NewReplacer("O", "0", "I", "1", "L", "1", "-", "", " ", "", "\t", "", "\n", "")
)

// NewCode makes a code.
func NewCode() (Code, error) {
	var c Code
	if _, err := rand.Read(c[:]); err != nil {
		return c, fmt.Errorf("making a join code: %w", err)
	}
	return c, nil
}

// Text is the code as it is shown: ABCD-EFGH-JKMN-PQRS-T, where the last character
// checks the others. It is a secret.
func (c Code) Text() string {
	text := codeText.EncodeToString(c[:])
	var b strings.Builder
	for len(text) > 0 {
		b.WriteString(text[:codeGroup] + "-")
		text = text[codeGroup:]
	}
	b.WriteByte(c.check())
	return b.String()
}

// Format writes no part of the code, whatever the verb.
func (c Code) Format(s fmt.State, _ rune) { io.WriteString(s, "join code") }

// MarshalText gives no part of the code.
func (c Code) MarshalText() ([]byte, error) { return []byte("join code"), nil }

// ParseCode reads a code as people write it: in either case, with or without its
// dashes, with O for 0 and I or L for 1. One character that is wrong, and any two
// that changed places, are noticed. Its errors do not quote the code.
func ParseCode(text string) (Code, error) {
	text = codeTypos.Replace(strings.ToUpper(strings.TrimSpace(text)))
	if want := codeText.EncodedLen(codeSize) + 1; len(text) != want {
		return Code{}, fmt.Errorf("%w: it has %d letters and digits, and a whole one has %d, the last of them behind the last dash", ErrCodeMalformed, len(text), want)
	}
	b, err := codeText.DecodeString(text[:len(text)-1])
	if err != nil {
		return Code{}, fmt.Errorf("%w: it has a character that no code has: compare it with what the joining machine shows", ErrCodeMalformed)
	}
	c := Code(b)
	if c.check() != text[len(text)-1] {
		return Code{}, fmt.Errorf("%w: its last character does not fit the others: compare it with what the joining machine shows", ErrCodeMalformed)
	}
	return c, nil
}

// check is a weighted sum of the characters over the field of 32 elements. The
// weights are the powers of a primitive element, all different: so one wrong
// character changes the sum, and so do two that changed places.
func (c Code) check() byte {
	sum, weight := byte(0), byte(1)
	for _, letter := range []byte(codeText.EncodeToString(c[:])) {
		weight = times(weight, 2)
		sum ^= times(weight, byte(strings.IndexByte(codeLetters, letter)))
	}
	return codeLetters[sum]
}

// times multiplies in the field of 32 elements, modulo x^5 + x^2 + 1.
func times(a, b byte) byte {
	var p byte
	for ; b > 0; b >>= 1 {
		if b&1 != 0 {
			p ^= a
		}
		if a <<= 1; a&32 != 0 {
			a ^= 0b100101
		}
	}
	return p
}

// A request to join with a code is
//
//	version 1 | nonce 16 | Noise message 1 with the joiner's peer ID
//
// which only who has the code can read or make.
const (
	codePublicSize   = 1 + nonceSize
	codeRequestLimit = 256 // bytes; about 105 are used
)

// codeHandshake is a side of the handshake of a token (see joinHandshake), with
// a secret that comes from the code and the request's nonce. random is where its
// fresh key comes from.
func (c Code) codeHandshake(public []byte, initiator bool, random io.Reader) (*noise.HandshakeState, error) {
	secret, err := hkdf.Key(sha256.New, c[:], public[1:], codeLabel, secretSize)
	if err != nil {
		return nil, err
	}
	return newHandshake(append([]byte(codeLabel), public...), secret, initiator, random)
}

// Ask begins to join with the code: msg waits at members, and finish reads what
// one of them answered. finish fails with ErrCodeWrong if whoever answered did
// not know the code; it may be called again with the next answer, and by several
// goroutines.
func (c Code) Ask(self peer.ID) (msg []byte, finish func(reply []byte) (Admission, error), err error) {
	public := make([]byte, codePublicSize)
	public[0] = codeVersion
	seed := make([]byte, 32) // of the fresh key, so that each answer meets the same handshake
	if _, err := rand.Read(public[1:]); err != nil {
		return nil, nil, fmt.Errorf("asking to join: %w", err)
	}
	if _, err := rand.Read(seed); err != nil {
		return nil, nil, fmt.Errorf("asking to join: %w", err)
	}
	begin := func() (*noise.HandshakeState, []byte, error) {
		hs, err := c.codeHandshake(public, true, bytes.NewReader(seed))
		if err != nil {
			return nil, nil, err
		}
		msg, _, _, err := hs.WriteMessage(bytes.Clone(public), []byte(self))
		return hs, msg, err
	}
	if _, msg, err = begin(); err != nil {
		return nil, nil, fmt.Errorf("asking to join: %w", err)
	}
	finish = func(reply []byte) (Admission, error) {
		hs, _, err := begin()
		if err != nil {
			return Admission{}, fmt.Errorf("joining: %w", err)
		}
		return readAnswer(hs, reply, fmt.Errorf("%w: whoever answered does not know it: check the address", ErrCodeWrong))
	}
	return msg, finish, nil
}

// RequestID names a request that Code.Ask made, without telling anything about the
// code; ok is false if msg is no such request. Two messages never share an ID.
func RequestID(msg []byte) (id string, ok bool) {
	if len(msg) <= codePublicSize || len(msg) > codeRequestLimit || msg[0] != codeVersion {
		return "", false
	}
	sum := sha256.Sum256(msg)
	return text32.EncodeToString(sum[:fingerprintSize]), true
}

// Admit answers the request msg on behalf of a member. It fails with ErrCodeWrong
// if the request was made with another code. What it returns in reply only the
// joiner can read. It keeps nothing: that a code is used once is the caller's care.
func (c Code) Admit(key SwarmKey, member peer.AddrInfo, msg []byte) (reply []byte, joiner peer.ID, err error) {
	hs, joiner, err := c.open(msg)
	if err != nil {
		return nil, "", err
	}
	reply, err = writeAnswer(hs, key, member)
	return reply, joiner, err
}

// Fits reports whether the request was made with this code, and by whom.
func (c Code) Fits(msg []byte) (joiner peer.ID, ok bool) {
	_, joiner, err := c.open(msg)
	return joiner, err == nil
}

func (c Code) open(msg []byte) (*noise.HandshakeState, peer.ID, error) {
	if _, ok := RequestID(msg); !ok {
		return nil, "", fmt.Errorf("%w: the request to join does not decode (another version of Shoal?)", ErrCodeWrong)
	}
	hs, err := c.codeHandshake(msg[:codePublicSize], false, rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("admitting a peer: %w", err)
	}
	payload, _, _, err := hs.ReadMessage(nil, msg[codePublicSize:])
	if err != nil {
		return nil, "", fmt.Errorf("%w: the request was made with another", ErrCodeWrong)
	}
	joiner, err := peer.IDFromBytes(payload)
	if err != nil {
		return nil, "", fmt.Errorf("%w: the joiner's peer ID does not decode", ErrCodeWrong)
	}
	return hs, joiner, nil
}
