package blockstream

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multihash"
)

// Protocol is what both sides speak.
const Protocol protocol.ID = "/shoal/blocks/1"

const (
	// MaxBlock is the largest block, in bytes: that of Bitswap.
	MaxBlock = 2 << 20
	// ProbeSize is up to how many bytes a block is sent in answer to a Probe.
	ProbeSize = 8 << 10

	maxCID      = 128 // bytes of a CID in binary
	requestHead = 2
	answerHead  = 5
)

// Kind is what a request is for.
type Kind byte

// The kinds of requests.
const (
	Want    Kind = 1
	Probe   Kind = 2
	Damaged Kind = 3
)

// Request is one question of a client.
type Request struct {
	Kind Kind
	CID  cid.Cid
}

// Status is the server's answer.
type Status byte

// The answers.
const (
	None  Status = 0 // the block is not here
	Block Status = 1 // and this is it
	Here  Status = 2 // it is here; ask for it
)

// Answer is the answer to one request.
type Answer struct {
	Status Status
	Size   int    // of the block, in bytes
	Data   []byte // of a Block
}

// ErrMalformed is what the other side sent that makes no sense.
var ErrMalformed = errors.New("malformed")

// appendRequest appends a request as it goes over the wire.
func appendRequest(b []byte, r Request) ([]byte, error) {
	raw := r.CID.Bytes()
	if len(raw) == 0 || len(raw) > maxCID {
		return b, fmt.Errorf("a CID of %d bytes cannot be asked for; 1 to %d are allowed", len(raw), maxCID)
	}
	return append(append(b, byte(r.Kind), byte(len(raw))), raw...), nil
}

// readRequest reads one request. It is io.EOF only between requests.
func readRequest(r *bufio.Reader) (Request, error) {
	var head [requestHead]byte
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return Request{}, err
	}
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return Request{}, noEOF(err)
	}
	kind, n := Kind(head[0]), int(head[1])
	if kind < Want || kind > Damaged {
		return Request{}, fmt.Errorf("%w: a request of kind %d", ErrMalformed, kind)
	}
	if n == 0 || n > maxCID {
		return Request{}, fmt.Errorf("%w: a CID of %d bytes", ErrMalformed, n)
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(r, raw); err != nil {
		return Request{}, noEOF(err)
	}
	c, err := cid.Cast(raw)
	if err != nil {
		return Request{}, fmt.Errorf("%w: the CID: %w", ErrMalformed, err)
	}
	return Request{kind, c}, nil
}

// putAnswer writes the head of an answer.
func putAnswer(b *[answerHead]byte, s Status, size int) []byte {
	b[0] = byte(s)
	binary.BigEndian.PutUint32(b[1:], uint32(size))
	return b[:]
}

// readAnswer reads one answer, of at most MaxBlock bytes of data.
func readAnswer(r *bufio.Reader) (Answer, error) {
	var head [answerHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Answer{}, noEOF(err) // a client reads only what it has asked for
	}
	a := Answer{Status: Status(head[0]), Size: int(binary.BigEndian.Uint32(head[1:]))}
	switch {
	case a.Status > Here:
		return Answer{}, fmt.Errorf("%w: an answer with status %d", ErrMalformed, a.Status)
	case a.Size > MaxBlock:
		return Answer{}, fmt.Errorf("%w: a block of %d bytes; %d is the most", ErrMalformed, a.Size, MaxBlock)
	case a.Status == None && a.Size != 0:
		return Answer{}, fmt.Errorf("%w: a block that is not there has %d bytes", ErrMalformed, a.Size)
	case a.Status != Block:
		return a, nil
	}
	a.Data = make([]byte, a.Size)
	if _, err := io.ReadFull(r, a.Data); err != nil {
		return Answer{}, noEOF(err)
	}
	return a, nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Verify reports whether data is the block that c names.
func Verify(c cid.Cid, data []byte) bool {
	p := c.Prefix()
	if p.MhType == multihash.SHA2_256 && p.MhLength == sha256.Size {
		sum := sha256.Sum256(data)
		h := c.Hash()
		return string(h[len(h)-sha256.Size:]) == string(sum[:])
	}
	got, err := p.Sum(data)
	return err == nil && got.Equals(c)
}
