package api

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// A list that may be long is sent as a JSON array one element at a time, so that
// neither side has all of it in memory. What cannot be sent whole ends as a
// download does: see download.

// listOf describes such a list.
func listOf[T any](r *routes) map[string]*huma.Response {
	schema := huma.SchemaFromType(r.api.OpenAPI().Components.Schemas, reflect.TypeFor[[]T]())
	return map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{typeJSON: {Schema: schema}}}}
}

// sendList sends what each calls see with.
func sendList[T any](r *routes, each func(context.Context, func(T) error) error) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		req, w := humago.Unwrap(hc)
		r.download(w, req, typeJSON, func(w io.Writer) error {
			out := bufio.NewWriter(w)
			before := "["
			err := each(req.Context(), func(v T) error {
				text, err := json.Marshal(v)
				if err != nil {
					return err
				}
				if _, err := out.WriteString(before); err != nil {
					return err
				}
				before = ",\n"
				_, err = out.Write(text)
				return err
			})
			if err != nil {
				return err // without what is in out: nothing may be sent yet
			}
			if before == "[" {
				_, err = out.WriteString("[")
			}
			if err == nil {
				_, err = out.WriteString("]\n")
			}
			if err != nil {
				return err
			}
			return out.Flush()
		})
	}}
}

// getList calls see with each element of a list.
func getList[T any](ctx context.Context, c *Client, path string, query url.Values, see func(T) error) error {
	resp, err := c.do(ctx, request{method: http.MethodGet, path: path, query: query, header: http.Header{"Te": {"trailers"}}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	in := json.NewDecoder(resp.Body)
	broken := func(err error) error {
		if _, drained := io.Copy(io.Discard, resp.Body); drained == nil {
			if e := lateProblem(resp); e != nil {
				return e
			}
		}
		return c.failed(ctx, err)
	}
	if _, err := in.Token(); err != nil { // [
		return broken(err)
	}
	for in.More() {
		var v T
		if err := in.Decode(&v); err != nil {
			return broken(err)
		}
		if err := see(v); err != nil {
			return err
		}
	}
	if _, err := in.Token(); err != nil { // ]
		return broken(err)
	}
	return nil
}
