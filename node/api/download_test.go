package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestDownloadStreams(t *testing.T) {
	more := make(chan struct{})
	block := bytes.Repeat([]byte("x"), 64<<10)
	c, _ := localServer(t, &fake{tar: func(_ context.Context, _ string, w io.Writer) error {
		_, err := w.Write(block)
		<-more // the first block arrives before the second is made
		_, err2 := w.Write(block)
		return errors.Join(err, err2)
	}})
	n := 0
	wantNo(t, c.Tar(t.Context(), "bafy", writerFunc(func(b []byte) (int, error) {
		if n == 0 {
			close(more)
		}
		n += len(b)
		return len(b), nil
	})))
	if n != 2*len(block) {
		t.Errorf("got %d bytes", n)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestDownloadRefused(t *testing.T) {
	f := &fake{tar: func(context.Context, string, io.Writer) error {
		return Errorf(CodeNoSuchCID, "no peer has bafy")
	}}
	c, srv := localServer(t, f)
	wantProblem(t, get(t, srv.URL+"/v1/ipfs/bafy"), 404, CodeNoSuchCID, "no peer has")
	if err := c.Tar(t.Context(), "bafy", io.Discard); CodeOf(err) != CodeNoSuchCID {
		t.Errorf("got %v", err)
	}
}

// Nobody takes half of a file for the whole, however little of it was sent.
func TestDownloadBreaksOff(t *testing.T) {
	for _, size := range []int{1, 3000, 1 << 20} {
		f := &fake{tar: func(_ context.Context, _ string, w io.Writer) error {
			_, err := w.Write(make([]byte, size))
			return errors.Join(err, Errorf(CodeNoSuchCID, "no peer has block\n%d", size))
		}}
		c, srv := localServer(t, f)
		var got bytes.Buffer
		err := c.Tar(t.Context(), "bafy", &got)
		if got.Len() != size || CodeOf(err) != CodeNoSuchCID || !strings.Contains(err.Error(), "no peer has block") {
			t.Errorf("%d bytes: our client got %d and %v", size, got.Len(), err)
		}
		resp, err := http.Get(srv.URL + "/v1/ipfs/bafy")
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		if err == nil {
			t.Errorf("%d bytes: a client that knows no trailers saw no error", size)
		}
	}
}

func TestDownloadEmptyFile(t *testing.T) {
	c, srv := localServer(t, &fake{tar: func(context.Context, string, io.Writer) error { return nil }})
	wantNo(t, c.Tar(t.Context(), "bafy", io.Discard))
	if r := get(t, srv.URL+"/v1/ipfs/bafy"); r.StatusCode != 200 || r.Header.Get("Content-Type") != typeTar {
		t.Errorf("got %s, %s", r.Status, r.Header.Get("Content-Type"))
	}
}

func TestDownloadToFullDisk(t *testing.T) {
	c, _ := localServer(t, &fake{})
	full := errors.New("no space left on device")
	err := c.Cat(t.Context(), "bafy", writerFunc(func([]byte) (int, error) { return 0, full }))
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

func TestPathsThatAURLWouldResolve(t *testing.T) {
	c, _ := localServer(t, &fake{})
	for _, path := range []string{"", "/", "bafy/../x", "bafy//x", "./x"} {
		if err := c.Cat(t.Context(), path, io.Discard); CodeOf(err) != CodeInvalid {
			t.Errorf("%q: got %v", path, err)
		}
	}
}

// A list that breaks off after its first elements is told from one that is whole.
func TestListBreaksOff(t *testing.T) {
	f := &fake{late: Errorf(CodeNotFound, "the rest is gone")}
	for range 1000 {
		f.pins = append(f.pins, Pin{CID: "bafypin", Name: strings.Repeat("x", 100)})
	}
	c, srv := localServer(t, f)
	seen := 0
	if err := c.Pins(t.Context(), "", func(Pin) error { seen++; return nil }); CodeOf(err) != CodeNotFound || seen == 0 {
		t.Errorf("%d elements, %v", seen, err)
	}
	resp, err := http.Get(srv.URL + "/v1/pins") // without TE: trailers
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the body came to a good end")
	}
	f.pins = nil
	if err := c.Pins(t.Context(), "", func(Pin) error { return nil }); CodeOf(err) != CodeNotFound {
		t.Errorf("before its first element: %v", err)
	}
	f.late = nil
	enough := errors.New("enough")
	if err := c.Ls(t.Context(), "bafy", func(Entry) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("see ended it with %v", err)
	}
}
