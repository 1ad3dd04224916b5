package api

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// An editor that knows the schema and the parser say the same of a job file,
// as far as a schema can. There is one difference on purpose: the parser takes a
// key without a value for one that is not there, and an editor should point at it.
func TestSchemaAgreesWithTheParser(t *testing.T) {
	doc, err := JobSchema()
	wantNo(t, err)
	s := compile(t, doc, "")
	const head = "task: {wasm: {module: ./a.wasm}}\n"
	files := map[string]string{
		"no task": "name: x\n", "no engine": "task: {}\n", "unknown field": head + "tsak: 1\n", "wrong type": head + "name: [x]\n",
	}
	for _, line := range []string{
		"resources: {cpu: 2}", "resources: {cpu: 1.5}", "resources: {cpu: .5}", "resources: {cpu: 500m, memory: 64MiB}", "resources: {cpu: -1}",
		"resources: {memory: 67108864}", "resources: {memory: '67108864'}", "resources: {memory: 64 MiB}", "resources: {memory: lots}",
		"inputs: []", "inputs: {}", "inputs: [{from: ./x}]", "outputs: [{name: a, at: /outputs/a}]",
		"timeout: 10m", "timeout: 1h30m", "timeout: 10", "timeout: ten", "where: a=b",
	} {
		files[line] = head + line + "\n"
	}
	examples, err := filepath.Glob("../../examples/*/job.yaml")
	wantNo(t, err)
	for _, path := range examples {
		b, err := os.ReadFile(path)
		wantNo(t, err)
		files[path] = string(b)
	}
	for name, file := range files {
		js, err := yaml.YAMLToJSON([]byte(file))
		wantNo(t, err)
		_, parsed := job.Parse([]byte(file), "job.yaml")
		valid := validate(t, s, string(js))
		if (parsed == nil) != (valid == nil) {
			t.Errorf("%s: the parser says %v, the schema says %v", name, parsed, valid)
		}
	}
}
