package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

func compile(t *testing.T, doc []byte, at string) *jsonschema.Schema {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	wantNo(t, err)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	wantNo(t, c.AddResource("mem:///doc", v))
	s, err := c.Compile("mem:///doc" + at)
	wantNo(t, err)
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, instance string) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(instance))
	wantNo(t, err)
	return s.Validate(v)
}

func TestJobSchema(t *testing.T) {
	doc, err := JobSchema()
	wantNo(t, err)
	again, err := JobSchema()
	wantNo(t, err)
	if !bytes.Equal(doc, again) {
		t.Error("it is not the same each time")
	}
	s := compile(t, doc, "")
	const task = `"task":{"wasm":{"module":"./a.wasm"}}`
	for _, good := range []string{
		`{` + task + `}`,
		`{"name":"x","task":{"wasm":{"module":"ipfs://bafy"},"args":["-n"],"env":{"TZ":"UTC"}},"timeout":"10m"}`,
		`{` + task + `,"inputs":[{"from":"./in","at":"/inputs/in"}],"outputs":[{"name":"o","at":"/outputs/o"}]}`,
		`{` + task + `,"resources":{"cpu":2,"memory":4096}}`,
		`{` + task + `,"resources":{"cpu":"500m","memory":"1.5GB"},"where":"a=b"}`,
	} {
		if err := validate(t, s, good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		`{}`, `[]`, `{"task":{}}`, `{"task":{"wasm":{}}}`,
		`{` + task + `,"tsak":1}`,
		`{"task":{"wasm":{"module":"x","modul":"y"}}}`,
		`{` + task + `,"inputs":null}`, `{` + task + `,"inputs":[{"from":"x"}]}`,
		`{` + task + `,"timeout":10}`, `{` + task + `,"timeout":"10 minutes"}`,
		`{` + task + `,"resources":{"memory":"256MB!"}}`, `{` + task + `,"resources":{"cpu":-1}}`,
		`{` + task + `,"name":"` + strings.Repeat("x", 64) + `"}`,
	} {
		if validate(t, s, bad) == nil {
			t.Errorf("it takes %s", bad)
		}
	}
	var root map[string]any
	wantNo(t, json.Unmarshal(doc, &root))
	if root["$schema"] != "https://json-schema.org/draft/2020-12/schema" || root["additionalProperties"] != false {
		t.Errorf("got $schema %v, additionalProperties %v", root["$schema"], root["additionalProperties"])
	}
	for name, p := range root["properties"].(map[string]any) {
		if p.(map[string]any)["description"] == nil {
			t.Errorf("%s has no description", name)
		}
	}
}

// The patterns take what the types write, and what they read.
func TestPatternsFitTheTypes(t *testing.T) {
	r := newRegistry("#/x/")
	for _, c := range []struct {
		schema interface{ MarshalJSON() ([]byte, error) }
		texts  []string
	}{
		{cpuText{}.Schema(r), []string{job.CPU(1).String(), job.CPU(1500).String(), job.CPU(3000).String(), "1.5", "0", ".5"}},
		{bytesText{}.Schema(r), []string{job.Bytes(0).String(), job.Bytes(1 << 40).String(), job.Bytes(1<<20 + 1).String(), "1kB", "1KB", "2.5TB", "7B"}},
		{durationText{}.Schema(r), []string{job.Duration(0).String(), job.Duration(90 * time.Minute).String(), job.Duration(time.Millisecond).String(), job.Duration(1500).String(), "1h30m", "1.5s", "0"}},
	} {
		doc, err := c.schema.MarshalJSON()
		wantNo(t, err)
		s := compile(t, doc, "")
		for _, text := range c.texts {
			if err := s.Validate(text); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
		for _, text := range []string{"", "m", "x", "-1", "1 h", "1..2", "1hh"} {
			if s.Validate(text) == nil {
				t.Errorf("%s takes %q", doc, text)
			}
		}
	}
}

type openAPI struct {
	OpenAPI string
	Info    struct{ Title, Version string }
	Paths   map[string]map[string]struct {
		OperationID string
		Summary     string
		Parameters  []struct{ Name, In string }
		RequestBody *struct{ Content map[string]any }
		Responses   map[string]struct {
			Description string
			Content     map[string]struct{ Schema any }
		}
	}
	Components struct{ Schemas map[string]any }
}

func TestOpenAPI(t *testing.T) {
	_, srv := localServer(t, &fake{ready: true, pins: []Pin{{CID: "bafy"}}})
	r := get(t, srv.URL+"/v1/openapi.json")
	var doc openAPI
	wantNo(t, json.Unmarshal(r.body, &doc))
	if doc.OpenAPI != "3.1.0" || doc.Info.Title == "" || doc.Info.Version == "" {
		t.Errorf("got %s, %+v", doc.OpenAPI, doc.Info)
	}
	var routes []string
	ids := map[string]bool{}
	for path, ops := range doc.Paths {
		for method, op := range ops {
			routes = append(routes, strings.ToUpper(method)+" "+path)
			if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" {
				t.Errorf("%s %s: operation %q, summary %q", method, path, op.OperationID, op.Summary)
			}
			ids[op.OperationID] = true
			for _, p := range op.Parameters {
				if p.In == "path" && !strings.Contains(path, "{"+p.Name+"}") {
					t.Errorf("%s has no {%s}", path, p.Name)
				}
			}
			if _, ok := op.Responses["default"].Content[problemType]; !ok {
				t.Errorf("%s %s: its problems are not described", method, path)
			}
			for status, resp := range op.Responses {
				if resp.Description == "" {
					t.Errorf("%s %s: %s is not described", method, path, status)
				}
			}
			if method == "post" && op.RequestBody == nil && op.OperationID != "cancel-job" {
				t.Errorf("%s %s: its body is not described", method, path)
			}
		}
	}
	slices.Sort(routes)
	if want := []string{
		"DELETE /v1/pins/{pin}", "GET /healthz", "GET /readyz", "GET /v1/doctor", "GET /v1/id", "GET /v1/ipfs/{path}", "GET /v1/jobs", "GET /v1/jobs/{id}",
		"GET /v1/jobs/{id}/logs", "GET /v1/jobs/{id}/watch", "GET /v1/joins", "GET /v1/labels", "GET /v1/ls/{path}", "GET /v1/peers", "GET /v1/pins", "GET /v1/status", "PATCH /v1/labels", "POST /v1/add", "POST /v1/gc", "POST /v1/jobs",
		"POST /v1/jobs/{id}/cancel", "POST /v1/join", "POST /v1/joins", "POST /v1/pins", "POST /v1/tokens",
	}; !slices.Equal(routes, want) {
		t.Errorf("got  %q\nwant %q", routes, want)
	}
	for name := range doc.Components.Schemas {
		compile(t, r.body, "#/components/schemas/"+name) // every reference leads somewhere
	}
	if _, ok := doc.Components.Schemas["ErrorModel"]; ok {
		t.Error("it describes huma's errors, which nobody gets")
	}
	answersFit(t, srv.URL, r.body)
}

// answersFit checks real answers against what the document says of them.
func answersFit(t *testing.T, url string, doc []byte) {
	for _, c := range []struct{ path, route, status, contentType string }{
		{"/v1/jobs", "/v1/jobs", "200", "application/json"},
		{"/v1/jobs/k7q2", "/v1/jobs/{id}", "200", "application/json"},
		{"/v1/peers", "/v1/peers", "200", "application/json"},
		{"/v1/pins", "/v1/pins", "200", "application/json"},
		{"/v1/id", "/v1/id", "200", "application/json"},
		{"/readyz", "/readyz", "200", "application/json"},
		{"/v1/jobs/!", "/v1/jobs/{id}", "default", problemType},
	} {
		escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D", "+", "%2B")
		at := fmt.Sprintf("#/paths/%s/get/responses/%s/content/%s/schema", escape.Replace(c.route), c.status, escape.Replace(c.contentType))
		r := send(t, http.MethodGet, url+c.path, "", nil)
		if err := validate(t, compile(t, doc, at), string(r.body)); err != nil {
			t.Errorf("GET %s: %v\n%s", c.path, err, r.body)
		}
	}
}
