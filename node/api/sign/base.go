package sign

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/dunglas/httpsfv"
)

// Headers of a signed request.
const (
	headerInput     = "Signature-Input"
	headerSignature = "Signature"
	headerDigest    = "Content-Digest"
	headerNode      = "Shoal-Node"  // for which node the request is
	HeaderNonce     = "Shoal-Nonce" // in an answer: the next nonce
)

const (
	tag       = "shoal"
	algorithm = "ed25519"
)

// components are what the signature of r must cover: what the request has, in
// the order in which this package signs it.
func components(r *http.Request) []string {
	c := []string{"@method", "@path", "@query", "shoal-node"}
	for _, field := range []string{"content-digest", "content-type"} {
		if len(r.Header.Values(field)) > 0 {
			c = append(c, field)
		}
	}
	return c
}

// component is the value of one of them.
func component(r *http.Request, name string) (value string, err error) {
	switch name {
	case "@method":
		value = r.Method
	case "@path":
		if value = r.URL.EscapedPath(); value == "" {
			value = "/"
		}
	case "@query":
		value = "?" + r.URL.RawQuery
	default:
		values := r.Header.Values(name)
		if len(values) != 1 {
			return "", fmt.Errorf("the header %s must be there once, and is there %d times", http.CanonicalHeaderKey(name), len(values))
		}
		value = strings.Trim(values[0], " \t")
	}
	// HTTP has none of these; one would let two requests have one base.
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", fmt.Errorf("%s holds a control character", name)
	}
	return value, nil
}

// base is what is signed (RFC 9421, 2.5): a line for each component, and the
// signature's own parameters.
func base(r *http.Request, params httpsfv.InnerList) ([]byte, error) {
	var b strings.Builder
	for _, item := range params.Items {
		name, ok := item.Value.(string)
		if !ok || len(item.Params.Names()) > 0 {
			return nil, errors.New("a covered component is no plain name")
		}
		value, err := component(r, name)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q: %s\n", name, value)
	}
	own, err := httpsfv.Marshal(params)
	if err != nil {
		return nil, fmt.Errorf("write the signature's parameters: %w", err)
	}
	fmt.Fprintf(&b, "%q: %s", "@signature-params", own)
	return []byte(b.String()), nil
}

// covers reports whether the components of params are exactly those that r needs.
func covers(r *http.Request, params httpsfv.InnerList) error {
	need := components(r)
	var has []string
	for _, item := range params.Items {
		name, _ := item.Value.(string)
		if slices.Contains(has, name) {
			return fmt.Errorf("the signature covers %q twice", name)
		}
		if !slices.Contains(need, name) {
			return fmt.Errorf("the signature covers %q, and only these can be: %s", name, strings.Join(need, ", "))
		}
		has = append(has, name)
	}
	for _, name := range need {
		if !slices.Contains(has, name) {
			return fmt.Errorf("the signature does not cover %q", name)
		}
	}
	return nil
}
