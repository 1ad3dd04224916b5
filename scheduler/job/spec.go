package job

// Spec is what job.yaml says. It is the one source of the parser, the JSON
// Schema and the API's type: field names come from the json tags (the parser
// uses them too), descriptions from the doc tags.
type Spec struct {
	Name      string      `json:"name,omitempty" cbor:"1,keyasint,omitempty" maxLength:"63" doc:"A name to find the job by. It need not be unique."`
	Task      Task        `json:"task" cbor:"2,keyasint" doc:"What to run."`
	Inputs    []Input     `json:"inputs,omitempty" cbor:"3,keyasint,omitempty" doc:"Data the task reads, each mounted read-only."`
	Outputs   []OutputDir `json:"outputs,omitempty" cbor:"4,keyasint,omitempty" doc:"Folders whose content is kept when the task ends, each published as a CID."`
	Resources Resources   `json:"resources,omitzero" cbor:"5,keyasint,omitempty" doc:"What an attempt may use at most."`
	Where     string      `json:"where,omitempty" cbor:"6,keyasint,omitempty" doc:"Label selector in Kubernetes' grammar, for example region=eu,gpu!=none."`
	Timeout   Duration    `json:"timeout,omitempty" cbor:"7,keyasint,omitempty" doc:"Run time of one attempt, for example 10m. Default 1h."`
}

// Task is the program to run.
type Task struct {
	WASM *WASM             `json:"wasm,omitempty" cbor:"1,keyasint,omitempty" doc:"A WebAssembly program (WASI preview 1)."`
	Args []string          `json:"args,omitempty" cbor:"2,keyasint,omitempty" doc:"Arguments, without the program's name."`
	Env  map[string]string `json:"env,omitempty" cbor:"3,keyasint,omitempty" doc:"Environment of the program; it sees no other."`
}

// WASM is a WebAssembly program.
type WASM struct {
	Module string `json:"module" cbor:"1,keyasint" doc:"ipfs://CID, or a path relative to job.yaml, which is added to IPFS at submit."`
}

// Input is data that a task reads.
type Input struct {
	From string `json:"from" cbor:"1,keyasint" doc:"ipfs://CID[/path]; a path relative to job.yaml, which is added to IPFS at submit; or mount://NAME[/path], read in place on a peer that offers the mount NAME (serve --mount)."`
	At   string `json:"at" cbor:"2,keyasint" doc:"Absolute path at which the task sees it."`
}

// OutputDir is a folder whose content is kept.
type OutputDir struct {
	Name string `json:"name" cbor:"1,keyasint" doc:"Name of the result; node get writes it under this name."`
	At   string `json:"at" cbor:"2,keyasint" doc:"Absolute path of the folder as the task sees it; it is there and empty when the task starts."`
}

// Resources bound an attempt.
type Resources struct {
	CPU    CPU   `json:"cpu,omitempty" cbor:"1,keyasint,omitempty" doc:"Processors, for example 500m or 2. Default 1."`
	Memory Bytes `json:"memory,omitempty" cbor:"2,keyasint,omitempty" doc:"Memory, for example 256MiB. Default 256MiB."`
}
