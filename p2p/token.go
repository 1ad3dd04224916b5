package p2p

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Why a token does not let its holder in; test with errors.Is. The text of the
// errors that wrap them says what to do next.
var (
	ErrTokenMalformed = errors.New("the join token is incomplete or mistyped")
	ErrTokenExpired   = errors.New("the join token has expired")
	ErrTokenForeign   = errors.New("the join token is for another swarm")
	ErrTokenWrong     = errors.New("the join token's secret is not the right one")
)

// A token in text is tokenPrefix and the base32 of
//
//	version 1 | fingerprint 10 | nonce 16 | expiry 8 | S 32 | checksum 4 bytes
//
// The first four are its public fields, which a joiner shows to a member. S is
// derived from the swarm key with the nonce and the expiry, so that a member
// computes it again and nobody keeps a list of tokens. The checksum tells a
// truncated copy from a wrong secret; it protects nothing.
const (
	tokenPrefix   = "shoal1"
	tokenVersion  = 1
	tokenLabel    = "shoal join v1"
	nonceSize     = 16
	publicSize    = 1 + fingerprintSize + nonceSize + 8
	secretSize    = 32
	checksumSize  = 4
	tokenSize     = publicSize + secretSize + checksumSize
	tokenNextStep = "make a new one on any member with: node token create"
)

// tokenPublic is what a token says to anybody.
type tokenPublic struct {
	swarm  [fingerprintSize]byte
	nonce  [nonceSize]byte
	expiry int64 // Unix seconds
}

func (t tokenPublic) encode() []byte {
	b := append([]byte{tokenVersion}, t.swarm[:]...)
	b = append(b, t.nonce[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(t.expiry))
}

// decodePublic reads the public fields from the front of b.
func decodePublic(b []byte) (t tokenPublic, ok bool) {
	if len(b) < publicSize || b[0] != tokenVersion {
		return t, false
	}
	b = b[1:]
	b = b[copy(t.swarm[:], b):]
	b = b[copy(t.nonce[:], b):]
	expiry := binary.BigEndian.Uint64(b)
	if expiry > math.MaxInt64 {
		return t, false
	}
	t.expiry = int64(expiry)
	return t, true
}

// checkTime fails from the expiry on. Wall clocks decide here, and only here; whose
// it was, is said in the error, which is read by the joiner.
func (t tokenPublic) checkTime(now time.Time, whose string) error {
	if now.Unix() < t.expiry {
		return nil
	}
	return fmt.Errorf("%w (%s ago, by %s clock): %s", ErrTokenExpired,
		now.Sub(time.Unix(t.expiry, 0)).Round(time.Second), whose, tokenNextStep)
}

// secret computes S: the nonce is the salt, the expiry is bound in.
func (k SwarmKey) secret(t tokenPublic) []byte {
	info := binary.BigEndian.AppendUint64([]byte(tokenLabel), uint64(t.expiry))
	return k.derive(t.nonce[:], string(info), secretSize)
}

// Bounds of a token's life. A token cannot be called back, so none is for ever.
const (
	MinTokenLife = time.Second
	MaxTokenLife = 30 * 24 * time.Hour
)

// NewToken makes a token that lets its holder join until now+ttl, in whole
// seconds. It is a secret: whoever reads it can join.
func (k SwarmKey) NewToken(now time.Time, ttl time.Duration) (string, error) {
	switch {
	case ttl < MinTokenLife:
		return "", fmt.Errorf("making a join token: with a life of %s it would have expired by now: give it some time, e.g. 1h", ttl)
	case ttl > MaxTokenLife:
		return "", fmt.Errorf("making a join token: a life of %s is longer than %s (30 days): make a new one when it is needed", ttl, MaxTokenLife)
	}
	t := tokenPublic{swarm: k.fingerprint(), expiry: now.Add(ttl).Unix()}
	if _, err := rand.Read(t.nonce[:]); err != nil {
		return "", fmt.Errorf("making a join token: %w", err)
	}
	b := append(t.encode(), k.secret(t)...)
	sum := sha256.Sum256(b)
	return tokenPrefix + text32.EncodeToString(append(b, sum[:checksumSize]...)), nil
}

// parseToken splits a token into its public fields and S. Space around it and
// upper case do not matter. Its errors do not quote it.
func parseToken(text string) (tokenPublic, []byte, error) {
	bad := fmt.Errorf("%w: copy the whole of it, from %s to its end, or %s", ErrTokenMalformed, tokenPrefix, tokenNextStep)
	body, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(text)), tokenPrefix)
	if !ok || len(body) != text32.EncodedLen(tokenSize) {
		return tokenPublic{}, nil, bad
	}
	b, err := text32.DecodeString(body)
	if err != nil || text32.EncodeToString(b) != body {
		return tokenPublic{}, nil, bad
	}
	sum := sha256.Sum256(b[:tokenSize-checksumSize])
	t, ok := decodePublic(b)
	if !ok || [checksumSize]byte(b[tokenSize-checksumSize:]) != [checksumSize]byte(sum[:]) {
		return tokenPublic{}, nil, bad
	}
	return t, b[publicSize : publicSize+secretSize], nil
}
