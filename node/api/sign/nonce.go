package sign

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Window is for how long a nonce is good: longer than any client rests between
	// getting and using one, short enough to remember every one that was used.
	Window = 2 * time.Minute
	// Fresh is the age at which a client leaves a nonce unused and gets another.
	Fresh = Window / 2
	// maxUsed nonces are remembered at most for each Window: 546 requests a second.
	maxUsed = 1 << 16
)

// What is wrong with a nonce.
var (
	ErrStale = errors.New("the nonce is not one that this node gave out lately")
	ErrUsed  = errors.New("the nonce was used before: the request came twice")
	ErrBusy  = errors.New("there are more signed requests than this node takes")
)

// Nonces gives nonces to anybody and takes each once from each client. A nonce
// carries the time of its making, by the monotonic clock, and proves by a secret of
// this process that it was made here: those that are not used take no memory, and
// a wall clock that jumps changes nothing. Methods are safe for concurrent use.
type Nonces struct {
	secret [32]byte
	began  time.Time
	count  atomic.Uint64

	mu     sync.Mutex
	young  map[used]struct{} // since turned
	old    map[used]struct{} // in the Window before that
	turned time.Duration
}

// nonce is 8 bytes of time, 8 that count, and half of an HMAC of both.
type nonce [32]byte

const nonceMAC = 16 // where the HMAC begins

// used is a nonce as one client used it, so that no other can use it up.
type used struct {
	nonce nonce
	by    Key
}

var nonceText = base64.RawURLEncoding.Strict()

// NewNonces takes no nonce that another made.
func NewNonces() *Nonces {
	n := &Nonces{began: time.Now(), young: map[used]struct{}{}}
	_, _ = rand.Read(n.secret[:]) // never fails
	return n
}

// New is a nonce.
func (n *Nonces) New() string {
	var out nonce
	binary.BigEndian.PutUint64(out[:], uint64(time.Since(n.began)))
	binary.BigEndian.PutUint64(out[8:], n.count.Add(1))
	copy(out[nonceMAC:], n.mac(out))
	return nonceText.EncodeToString(out[:])
}

func (n *Nonces) mac(of nonce) []byte {
	h := hmac.New(sha256.New, n.secret[:])
	h.Write(of[:nonceMAC])
	return h.Sum(nil)[:len(of)-nonceMAC]
}

// Check is nil if this made the nonce within the last Window, else ErrStale.
func (n *Nonces) Check(text string) error {
	_, err := n.read(text)
	return err
}

func (n *Nonces) read(text string) (out nonce, err error) {
	if len(text) != nonceText.EncodedLen(len(out)) {
		return out, ErrStale
	}
	if _, err := nonceText.Decode(out[:], []byte(text)); err != nil || !hmac.Equal(n.mac(out), out[nonceMAC:]) {
		return out, ErrStale
	}
	made := time.Duration(binary.BigEndian.Uint64(out[:]))
	if time.Since(n.began)-made >= Window {
		return out, ErrStale
	}
	return out, nil
}

// Use takes the nonce of a request that by has signed: ErrStale if it is not
// good, ErrUsed if by has used it before, and ErrBusy if there is no more room to
// remember. Only a client that is let in may get here, or others fill the room.
func (n *Nonces) Use(by Key, text string) error {
	made, err := n.read(text)
	if err != nil {
		return err
	}
	u := used{made, by}
	n.mu.Lock()
	defer n.mu.Unlock()
	// What goes into young stays for a Window at least: until it is old, and then
	// for as long as old is kept. No nonce is good for longer.
	if now := time.Since(n.began); now-n.turned >= Window {
		n.old, n.young, n.turned = n.young, map[used]struct{}{}, now
	}
	_, young := n.young[u]
	_, old := n.old[u]
	switch {
	case young, old:
		return ErrUsed
	case len(n.young) >= maxUsed:
		return ErrBusy
	}
	n.young[u] = struct{}{}
	return nil
}
