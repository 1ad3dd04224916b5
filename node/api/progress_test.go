package api

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// pinning is a backend whose pin tells how far it is.
func pinning(err error) *fake {
	return &fake{pin: func(ctx context.Context, cid string) (Pin, error) {
		if see := ProgressOf(ctx); see != nil {
			see(Progress{Total: 10})
			see(Progress{Total: 10, Done: 7})
		}
		return Pin{CID: cid, Name: "book"}, err
	}}
}

func TestPinSaysHowFarItIs(t *testing.T) {
	c, srv := localServer(t, pinning(nil))
	var seen []Progress
	ctx := WithProgress(t.Context(), func(p Progress) { seen = append(seen, p) })
	pin, err := c.Pin(ctx, PinRequest{CID: "bafy"})
	wantNo(t, err)
	if pin != (Pin{CID: "bafy", Name: "book"}) {
		t.Errorf("got %+v", pin)
	}
	if len(seen) != 3 || seen[0] != (Progress{10, 0}) || seen[1] != (Progress{10, 7}) {
		t.Errorf("saw %v", seen)
	}
	// Without asking for events the answer is as it ever was.
	pin, err = c.Pin(t.Context(), PinRequest{CID: "bafy"})
	wantNo(t, err)
	if pin.Name != "book" {
		t.Errorf("got %+v", pin)
	}
	resp, err := http.Post(srv.URL+"/v1/pins", "application/json", strings.NewReader(`{"cid":"bafy"}`))
	wantNo(t, err)
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("the content type is %q", got)
	}
}

// A request whose answer is watched has a body, which is signed like any other.
func TestSignedPinSaysHowFarItIs(t *testing.T) {
	c, _ := publicServer(t, pinning(nil))
	var last Progress
	pin, err := c.Signed(aKey(1)).Pin(WithProgress(t.Context(), func(p Progress) { last = p }), PinRequest{CID: "bafy"})
	want(t, pin.Name, "book", err)
	want(t, last, Progress{10, 7}, nil)
}

func TestPinFailsBesideProgress(t *testing.T) {
	c, _ := localServer(t, pinning(Errorf(CodeNoSuchCID, "nobody has it")))
	_, err := c.Pin(WithProgress(t.Context(), func(Progress) {}), PinRequest{CID: "bafy"})
	if CodeOf(err) != CodeNoSuchCID {
		t.Errorf("got %v", err)
	}
	if _, err = c.Pin(t.Context(), PinRequest{CID: "bafy"}); CodeOf(err) != CodeNoSuchCID {
		t.Errorf("without progress: %v", err)
	}
}

func TestDownloadSaysHowFarItIs(t *testing.T) {
	c, _ := localServer(t, &fake{tar: func(ctx context.Context, _ string, w io.Writer) error {
		ProgressOf(ctx)(Progress{Total: 4})
		_, err := w.Write([]byte("more than that"))
		return err
	}})
	var seen []Progress
	wantNo(t, c.Tar(WithProgress(t.Context(), func(p Progress) { seen = append(seen, p) }), "bafy", io.Discard))
	if len(seen) < 2 || seen[0] != (Progress{4, 0}) || seen[len(seen)-1] != (Progress{4, 4}) {
		t.Errorf("saw %v", seen)
	}
}
