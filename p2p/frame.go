package p2p

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// frameHead is the size of the length before each frame, in bytes.
const frameHead = 4

var errTooLong = errors.New("a frame is too long")

// writeFrame writes a length and a frame in one call, so that a small frame is
// one packet.
func writeFrame(w io.Writer, frame []byte) error {
	b := make([]byte, frameHead, frameHead+len(frame))
	binary.BigEndian.PutUint32(b, uint32(len(frame)))
	_, err := w.Write(append(b, frame...))
	return err
}

// readFrame reads one frame of at most limit bytes. It is io.EOF only between
// frames. Memory grows with what has arrived, not with the length that is claimed.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n > int64(limit) {
		return nil, fmt.Errorf("%w: %d bytes, and at most %d are allowed", errTooLong, n, limit)
	}
	if n <= 64<<10 {
		frame := make([]byte, n)
		if _, err := io.ReadFull(r, frame); err != nil {
			return nil, noEOF(err)
		}
		return frame, nil
	}
	var buf bytes.Buffer
	if _, err := io.CopyN(&buf, r, n); err != nil {
		return nil, noEOF(err)
	}
	return buf.Bytes(), nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
