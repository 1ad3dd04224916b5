package blockstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

func idOf(t testing.TB, data string) cid.Cid {
	t.Helper()
	c, err := cid.V1Builder{Codec: cid.Raw, MhType: multihash.SHA2_256}.Sum([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRequestsComeBackAsTheyWere(t *testing.T) {
	var wire []byte
	want := []Request{{Want, idOf(t, "a")}, {Probe, idOf(t, "b")}, {Damaged, cid.NewCidV0(idOf(t, "c").Hash())}}
	for _, r := range want {
		var err error
		if wire, err = appendRequest(wire, r); err != nil {
			t.Fatal(err)
		}
	}
	in := bufio.NewReader(bytes.NewReader(wire))
	for _, r := range want {
		if got, err := readRequest(in); err != nil || got != r {
			t.Errorf("got %v, %v, want %v", got, err, r)
		}
	}
	if _, err := readRequest(in); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if _, err := appendRequest(nil, Request{Want, cid.Undef}); err == nil {
		t.Error("no CID was asked for")
	}
}

func TestMalformedFrames(t *testing.T) {
	whole, err := appendRequest(nil, Request{Want, idOf(t, "a")})
	if err != nil {
		t.Fatal(err)
	}
	for name, frame := range map[string]string{
		"kind 0":     "\x00\x01x",
		"kind 4":     "\x04\x01x",
		"no CID":     "\x01\x00",
		"long CID":   "\x01\xff" + strings.Repeat("x", 255),
		"not a CID":  "\x01\x03abc",
		"CID and on": "\x01" + string(rune(len(whole)-1)) + string(whole[2:]) + "x",
	} {
		if r, err := readRequest(bufio.NewReader(strings.NewReader(frame))); !errors.Is(err, ErrMalformed) {
			t.Errorf("request %s: %v, %v", name, r, err)
		}
	}
	for i := 1; i < len(whole); i++ {
		if _, err := readRequest(bufio.NewReader(bytes.NewReader(whole[:i]))); err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes of a request: %v", i, err)
		}
	}
	for name, frame := range map[string]string{
		"status 3":       "\x03\x00\x00\x00\x00",
		"too large":      "\x01\x00\x20\x00\x01",
		"huge":           "\x01\xff\xff\xff\xff",
		"none, of bytes": "\x00\x00\x00\x00\x01",
	} {
		if a, err := readAnswer(bufio.NewReader(strings.NewReader(frame))); !errors.Is(err, ErrMalformed) {
			t.Errorf("answer %s: %v, %v", name, a, err)
		}
	}
	for _, cut := range []string{"", "\x01", "\x01\x00\x00\x00\x02x"} {
		if a, err := readAnswer(bufio.NewReader(strings.NewReader(cut))); err != io.ErrUnexpectedEOF {
			t.Errorf("answer %q: %v, %v", cut, a, err)
		}
	}
}

func TestVerify(t *testing.T) {
	for _, b := range []cid.Builder{
		cid.V1Builder{Codec: cid.Raw, MhType: multihash.SHA2_256},
		cid.V1Builder{Codec: cid.Raw, MhType: multihash.SHA2_512},
		cid.V1Builder{Codec: cid.DagProtobuf, MhType: multihash.BLAKE3, MhLength: 32},
		cid.V0Builder{},
	} {
		for _, data := range []string{"", "text"} {
			c, err := b.Sum([]byte(data))
			if err != nil {
				t.Fatal(err)
			}
			if !Verify(c, []byte(data)) {
				t.Errorf("%s is not %q", c, data)
			}
			if Verify(c, []byte(data+"x")) || Verify(c, nil) != (data == "") {
				t.Errorf("%s is something else than %q", c, data)
			}
		}
	}
}

// Whatever comes in, a decoder returns, holds no more than it may, and what it
// took for good is written back as it came.
func FuzzReadRequest(f *testing.F) {
	whole, _ := appendRequest(nil, Request{Want, idOf(f, "a")})
	f.Add(whole)
	f.Add(whole[:5])
	f.Add([]byte("\x01\xff"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		r, err := readRequest(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil {
			return
		}
		again, err := appendRequest(nil, r)
		if err != nil || !bytes.HasPrefix(wire, again) {
			t.Errorf("%x was read as %v, which is written as %x, %v", wire, r, again, err)
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x02hi"))
	f.Add([]byte("\x02\x00\x10\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		a, err := readAnswer(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil {
			return
		}
		var head [answerHead]byte
		again := append(putAnswer(&head, a.Status, a.Size), a.Data...)
		if !bytes.HasPrefix(wire, again) || len(a.Data) > MaxBlock {
			t.Errorf("%x was read as %v", wire, a)
		}
	})
}
