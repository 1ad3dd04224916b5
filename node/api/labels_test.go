package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func (f *fake) Labels(context.Context) ([]Label, error) {
	f.saw("labels")
	return []Label{{Key: "os", Value: "linux", From: LabelAutomatic}, {Key: "site", Value: "attic", From: LabelFlag}}, nil
}

func (f *fake) ChangeLabels(_ context.Context, c LabelChange) ([]Label, error) {
	f.saw("change labels", fmt.Sprint(c.Set, c.Remove))
	if c.Set["arch"] != "" {
		return nil, Errorf(CodeInvalid, "the node sets the label arch itself")
	}
	return nil, nil
}

func TestLabels(t *testing.T) {
	f := &fake{}
	c, srv := localServer(t, f)
	got, err := c.Labels(t.Context())
	if err != nil || len(got) != 2 || got[1] != (Label{"site", "attic", LabelFlag}) {
		t.Errorf("labels: %v, %v", got, err)
	}
	got, err = c.ChangeLabels(t.Context(), LabelChange{Set: map[string]string{"a": "b"}, Remove: []string{"c"}})
	if err != nil || got == nil || len(got) != 0 {
		t.Errorf("change: %v, %v", got, err)
	}
	if _, err := c.ChangeLabels(t.Context(), LabelChange{Set: map[string]string{"arch": "b"}}); CodeOf(err) != CodeInvalid {
		t.Errorf("change of an automatic label: %v", err)
	}
	wantProblem(t, send(t, http.MethodPatch, srv.URL+"/v1/labels", "application/json", strings.NewReader(`{"sett":{}}`)), 422, CodeInvalid, "sett")
	wantProblem(t, send(t, http.MethodPatch, srv.URL+"/v1/labels", "application/json", strings.NewReader(`{"set":{"a":1}}`)), 422, CodeInvalid, "string")
	if want := []string{"labels", "change labels map[a:b] [c]", "change labels map[arch:b] []"}; !slices.Equal(f.got, want) {
		t.Errorf("asked %q, want %q", f.got, want)
	}
}
