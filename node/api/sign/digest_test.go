package sign

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestBody(t *testing.T) {
	const signed = "the body that was signed"
	s, err := Read(request(t, "POST", "/v1/add", "application/x-tar", signed))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		body string
		good bool
	}{{signed, true}, {signed + " ", false}, {signed[1:], false}, {"", false}, {"The body that was signed", false}} {
		for how, r := range map[string]io.Reader{
			"at once":      strings.NewReader(c.body),
			"byte by byte": iotest.OneByteReader(strings.NewReader(c.body)),
			"with its end": iotest.DataErrReader(strings.NewReader(c.body)),
		} {
			got, err := io.ReadAll(s.Body(io.NopCloser(r)))
			if c.good && (err != nil || string(got) != signed) || !c.good && !errors.Is(err, ErrBody) {
				t.Errorf("%q, %s: %q, %v", c.body, how, got, err)
			}
		}
	}
	// One that breaks off is no shorter one.
	broken := errors.New("broken")
	if _, err := io.ReadAll(s.Body(io.NopCloser(io.MultiReader(strings.NewReader(signed), iotest.ErrReader(broken))))); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
