package job

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const someCID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"

const whole = `# yaml-language-server: $schema=job.schema.json
name: visitors
task:
  wasm: {module: ./visitors.wasm}   # a path
  args: [--top, "10"]
  env:
    TZ: UTC
    NOTE: |
      two
      lines
inputs:
  - {from: "ipfs://` + someCID + `/log/2026", at: /inputs/log}
  - from: data/../books
    at: /inputs/books
outputs:
- name: counts
  at: /outputs/counts
resources: {cpu: 1.5, memory: 256MiB}
where: region=eu,gpu!=none
timeout: 1h30m
`

func TestParseWhole(t *testing.T) {
	got, err := Parse([]byte(whole), "job.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := Spec{
		Name: "visitors",
		Task: Task{
			WASM: &WASM{Module: "./visitors.wasm"},
			Args: []string{"--top", "10"},
			Env:  map[string]string{"TZ": "UTC", "NOTE": "two\nlines\n"},
		},
		Inputs: []Input{
			{From: "ipfs://" + someCID + "/log/2026", At: "/inputs/log"},
			{From: "data/../books", At: "/inputs/books"},
		},
		Outputs:   []OutputDir{{Name: "counts", At: "/outputs/counts"}},
		Resources: Resources{CPU: 1500, Memory: 256 << 20},
		Where:     "region=eu,gpu!=none",
		Timeout:   Duration(90 * time.Minute),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestParseJSON reads what `submit --dry-run -o json` writes.
func TestParseJSON(t *testing.T) {
	got, err := Parse([]byte(`{"task": {"wasm": {"module": "./a.wasm"}, "args": []}, "timeout": "10m"}`), "job.json")
	if err != nil {
		t.Fatal(err)
	}
	if got.Task.WASM.Module != "./a.wasm" || got.Timeout != Duration(10*time.Minute) {
		t.Errorf("got %+v", got)
	}
}

// minimal is a spec that is good, for tables to add to.
const minimal = "task: {wasm: {module: ./a.wasm}}\n"

func TestParseFaults(t *testing.T) {
	tests := []struct{ name, yaml, want string }{
		{"empty", "# nothing\n", `the job file is empty at job.yaml:1:1; a job needs at least: task: {wasm: {module: ./main.wasm}}`},
		{"not a mapping", "- task\n", `the job file is a list, and must be a mapping of fields at job.yaml:1:1; it begins with task: {wasm: {module: ./main.wasm}}`},
		{"prose", "please count the words\n", `the job file is text, and must be a mapping of fields at job.yaml:1:1; it begins with task: {wasm: {module: ./main.wasm}}`},
		{"unknown field", minimal + "ouputs: []\n", `unknown field "ouputs" at job.yaml:2:1; did you mean outputs?`},
		{"unknown field, none near", minimal + "colour: red\n", `unknown field "colour" at job.yaml:2:1; known are name, task, inputs, outputs, resources, where, timeout`},
		{"unknown field inside", "task:\n  wasm:\n    modul: ./a.wasm\n", `task.wasm: unknown field "modul" at job.yaml:3:5; did you mean module?`},
		{"unknown field in a list", minimal + "inputs:\n  - {form: ./a, at: /a}\n", `inputs[0]: unknown field "form" at job.yaml:3:6; did you mean from?`},
		{"several", minimal + "nmae: x\nresources:\n  memory: 12Mi\n  cpus: 2\n",
			"unknown field \"nmae\" at job.yaml:2:1; did you mean name?\n" +
				"resources.memory: unknown unit \"Mi\" in \"12Mi\" at job.yaml:4:11; did you mean MiB? Known units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB\n" +
				`resources: unknown field "cpus" at job.yaml:5:3; did you mean cpu?`},
		{"twice", minimal + "name: a\nname: b\n", `field "name" is given twice at job.yaml:3:1; it stands in line 2 already`},
		{"variable twice", "task:\n  wasm: {module: ./a.wasm}\n  env: {A: b, A: c}\n", `task.env: field "A" is given twice at job.yaml:3:15; it stands in line 3 already`},
		{"number for text", "task:\n  wasm: {module: ./a.wasm}\n  args: [--top, 10]\n", `task.args[1]: is a number, and must be text at job.yaml:3:17; put it in quotes: "10"`},
		{"boolean for text", minimal + "name: true\n", `name: is true or false, and must be text at job.yaml:2:7; put it in quotes: "true"`},
		{"mapping for text", minimal + "name: {a: b}\n", `name: is a mapping, and must be text at job.yaml:2:7`},
		{"text for list", minimal + "inputs: ./books\n", `inputs: is text, and must be a list at job.yaml:2:9; write [A, B], or one entry a line, each after a dash`},
		{"text for mapping", "task: ./a.wasm\n", `task: is text, and must be a mapping at job.yaml:1:7; write its fields as KEY: VALUE`},
		{"list for amount", minimal + "timeout: [1h]\n", `timeout: is a list, and must be an amount at job.yaml:2:10`},
		{"empty entry", "task:\n  wasm: {module: ./a.wasm}\n  args:\n    - a\n    -\n", `task.args[1]: has no value at job.yaml:5:7; write "" for an empty text`},
		{"no unit", minimal + "timeout: 10\n", `timeout: "10" has no unit at job.yaml:2:10; known units are h, m, s, ms, us and ns, for example 90s or 1h30m`},
		{"bad unit", minimal + "timeout: 10min\n", `timeout: unknown unit "min" in "10min" at job.yaml:2:10; known units are h, m, s, ms, us and ns, for example 90s or 1h30m`},
		{"nothing of it", minimal + "resources: {cpu: 0}\n", `resources.cpu: must be more than 0 at job.yaml:2:18; leave the field out for its default`},
		{"negative", minimal + "resources: {cpu: -1}\n", `resources.cpu: "-1" is negative at job.yaml:2:18; write processors as 500m, 2 or 1.5`},
		{"too long", minimal + "timeout: 2000h\n", `timeout: 2000h is not between 100ms and 720h at job.yaml:2:10`},
		{"too little", minimal + "resources: {memory: 64KiB}\n", `resources.memory: 64KiB is not between 1MiB and 4GiB at job.yaml:2:21`},
		{"no task", "name: a\n", `task: wasm is missing at job.yaml:1:1; say what to run, for example wasm: {module: ./main.wasm}`},
		{"no module", "task:\n  wasm: {}\n", `task.wasm: module is missing at job.yaml:2:9; give a path or ipfs://CID`},
		{"bad name", minimal + "name: a b\n", `name: "a b" is no name at job.yaml:2:7; ` + nameRule},
		{"at relative", minimal + "inputs: [{from: ./a, at: inputs}]\n", `inputs[0].at: "inputs" is no clean absolute path at job.yaml:2:26; write /inputs`},
		{"at unclean", minimal + "inputs: [{from: ./a, at: /x/../y}]\n", `inputs[0].at: "/x/../y" is no clean absolute path at job.yaml:2:26; write /y`},
		{"at root", minimal + "outputs: [{name: a, at: /}]\n", `outputs[0].at: "/" is the root at job.yaml:2:25; give a folder below it, such as /inputs`},
		{"at missing", minimal + "outputs:\n  - name: a\n", `outputs[0]: at is missing at job.yaml:3:5; give the path at which the task sees it`},
		{"from missing", minimal + "inputs:\n  - at: /a\n", `inputs[0]: from is missing at job.yaml:3:5; give a path, ipfs://CID or mount://NAME/PATH`},
		{"same at", minimal + "inputs:\n  - {from: ./a, at: /a}\noutputs:\n  - {name: a, at: /a}\n", `outputs[0].at: "/a" is where inputs[0] stands already at job.yaml:5:19; give each its own path`},
		{"nested", minimal + "inputs:\n  - {from: ./a, at: /a/b}\noutputs:\n  - {name: a, at: /a}\n", `outputs[0].at: "/a" and "/a/b" of inputs[0] are inside one another at job.yaml:5:19; give each its own path, side by side`},
		{"output name twice", minimal + "outputs:\n  - {name: a, at: /a}\n  - {name: A, at: /b}\n", `outputs[1].name: "A" is the name of outputs[0] already at job.yaml:4:12; give each output its own name`},
		{"output name unsafe", minimal + "outputs:\n  - {name: ../a, at: /a}\n", `outputs[0].name: "../a" is no name at job.yaml:3:12; ` + nameRule},
		{"variable name", "task:\n  wasm: {module: ./a.wasm}\n  env: {A=B: c}\n", `task.env: "A=B" cannot name a variable at job.yaml:3:8; use letters, digits and underscores`},
		{"selector", minimal + "where: a in\n", `where: "a in" is no label selector: unable to parse requirement: found '' expected: '(' at job.yaml:2:8; write it as region=eu,gpu!=none`},
		{"bad CID", minimal + "inputs: [{from: ipfs://bafynothing, at: /a}]\n", `inputs[0].from: "bafynothing" is no CID at job.yaml:2:17; node add PATH prints the CID of a file or folder`},
		{"path in CID", minimal + "inputs: [{from: ipfs://" + someCID + "/../x, at: /a}]\n", `inputs[0].from: "../x" is no clean path at job.yaml:2:17; write names parted by single slashes, without . and ..`},
		{"module in a folder", "task: {wasm: {module: ipfs://" + someCID + "/a.wasm}}\n", `task.wasm.module: "ipfs://bafkreigh2akiscaildcqabsyg3dfr6ch…" leads into a folder at job.yaml:1:23; give the CID of the module itself`},
		{"scheme", minimal + "inputs: [{from: s3://bucket, at: /a}]\n", `inputs[0].from: unknown scheme "s3" in "s3://bucket" at job.yaml:2:17; known are ipfs://CID, mount://NAME/PATH and a path relative to the job file`},
		{"scheme of a module", "task: {wasm: {module: s3://bucket}}\n", `task.wasm.module: unknown scheme "s3" in "s3://bucket" at job.yaml:1:23; known are ipfs://CID and a path relative to the job file`},
		{"module in a mount", "task: {wasm: {module: mount://bin/a.wasm}}\n", `task.wasm.module: a program cannot come from a mount ("mount://bin/a.wasm") at job.yaml:1:23; give ipfs://CID, or a path relative to the job file; data may come from a mount`},
		{"mount without a name", minimal + "inputs: [{from: mount:///etc, at: /a}]\n", `inputs[0].from: "mount:///etc" names no mount at job.yaml:2:17; write mount://NAME/PATH, with a name that peers offer with serve --mount NAME=…`},
		{"mount of no name", minimal + "inputs: [{from: mount://../etc, at: /a}]\n", `inputs[0].from: ".." is no name of a mount at job.yaml:2:17; ` + nameRule},
		{"out of a mount", minimal + "inputs: [{from: mount://logs/../x, at: /a}]\n", `inputs[0].from: "../x" is no clean path at job.yaml:2:17; write names parted by single slashes, without . and ..`},
		{"unclean in a mount", minimal + "inputs: [{from: mount://logs/a//b, at: /a}]\n", `inputs[0].from: "a//b" is no clean path at job.yaml:2:17; write names parted by single slashes, without . and ..`},
		{"absolute", minimal + "inputs: [{from: /etc, at: /a}]\n", `inputs[0].from: "/etc" is an absolute path at job.yaml:2:17; put it into the job file's folder, or add it with node add PATH and write ipfs://CID`},
		{"escape", minimal + "inputs: [{from: a/../../b, at: /a}]\n", `inputs[0].from: "a/../../b" leads out of the job file's folder at job.yaml:2:17; put it into the job file's folder, or add it with node add PATH and write ipfs://CID`},
		{"anchor", "name: &a x\ntask: {wasm: {module: *a}}\n", `anchors and aliases (&) are not read in a job file at job.yaml:1:7; write the value out at each place`},
		{"merge key", minimal + "resources:\n  <<: {cpu: 1}\n", `merge keys (<<) are not read in a job file at job.yaml:3:3; write the fields out at each place`},
		{"tag", minimal + "name: !!str 1\n", `tags (!!str) are not read in a job file at job.yaml:2:7; leave it out`},
		{"two documents", minimal + "---\n" + minimal, `a second document in one job file at job.yaml:3:1; submit one file for each job`},
		{"deep", minimal + "name: " + strings.Repeat("[", 40), `lists and mappings inside one another more than 32 deep at job.yaml:2:39`},
		{"deep dashes", strings.Repeat("- ", 40), `lists and mappings inside one another more than 32 deep at job.yaml:1:65`},
		{"large", "#" + strings.Repeat("a", MaxFile), `the job file has more than 1MiB at job.yaml:1:1; give long lists in a file that is an input of the job`},
		{"long list", strings.Repeat("-\n", maxTokens+1), `the job file has more than 30000 words and marks at job.yaml:30001:1; give long lists in a file that is an input of the job`},
		{"not UTF-8", minimal + "name: \xff\n", `a character that is not UTF-8 at job.yaml:2:7; save the file as UTF-8`},
		{"tab", "task:\n\twasm: {}\n", `not YAML: found character '	' that cannot start any token at job.yaml:2:1`},
		{"unclosed", "task: {wasm: {module: a}\n", `not YAML: could not find flow mapping end token '}' at job.yaml:1:7`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse([]byte(test.yaml), "job.yaml")
			if err == nil {
				t.Fatalf("accepted; want %s", test.want)
			}
			if got := err.Error(); got != test.want {
				t.Errorf("\ngot  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestCheckModule(t *testing.T) {
	tests := []struct{ header, want string }{
		{"\x00asm\x01\x00\x00\x00", ""},
		{"\x00asm\x0d\x00\x01\x00", "is a WebAssembly component"},
		{"\x00asm\x02\x00\x00\x00", "is WebAssembly of version 2"},
		{"\x7fELF\x02\x01\x01\x00", "is no WebAssembly module"},
		{"\x00asm", "is no WebAssembly module"},
		{"", "is no WebAssembly module"},
	}
	for _, test := range tests {
		err := CheckModule([]byte(test.header))
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("CheckModule(%q) = %v, want %q", test.header, err, test.want)
		}
	}
}

// FuzzParse holds Parse to three promises: it comes back, what it accepts is
// valid, and every fault has a place.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(minimal))
	f.Add([]byte("task: {wasm: {module: *a}}\nname: &a [!!x ? : -]\n"))
	f.Add([]byte("a: |2-\n  - ''\n\"\\u00e9\": >\n ---\n...\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse(text, "f")
		if err == nil {
			if err := s.Validate(); err != nil {
				t.Fatalf("accepted, but %v", err)
			}
			return
		}
		faults, ok := err.(Faults)
		if !ok || len(faults) == 0 {
			t.Fatalf("%T is no list of faults: %v", err, err)
		}
		for _, fault := range faults {
			if fault.Line < 1 || fault.Column < 1 {
				t.Fatalf("no place: %v", fault)
			}
		}
	})
}
