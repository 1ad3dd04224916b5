package job

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
)

// ipfsScheme begins a reference to content.
const ipfsScheme = "ipfs://"

// ParseIPFS takes ipfs://CID[/PATH] apart. The path has no leading slash and is
// clean; it is empty for the root.
func ParseIPFS(ref string) (id cid.Cid, sub string, err error) {
	rest, ok := strings.CutPrefix(ref, ipfsScheme)
	if !ok {
		return cid.Undef, "", fault("write ipfs://CID", "%q is no ipfs:// reference", clip(ref))
	}
	text, sub, deep := strings.Cut(rest, "/")
	if id, err = cid.Decode(text); err != nil {
		return cid.Undef, "", fault("node add PATH prints the CID of a file or folder", "%q is no CID", clip(text))
	}
	if deep && (sub == "" || path.Clean("/"+sub) != "/"+sub || strings.ContainsRune(sub, 0)) {
		return cid.Undef, "", fault("write names parted by single slashes, without . and ..", "%q is no clean path", clip(sub))
	}
	return id, sub, nil
}

// Local are the references to files beside the job file, each once and sorted,
// as they are written. They must be added to IPFS and replaced (see Replace)
// before the spec can be submitted.
func (s Spec) Local() []string {
	var local []string
	for _, ref := range s.refs() {
		if *ref != "" && !strings.HasPrefix(*ref, ipfsScheme) && !strings.HasPrefix(*ref, mountScheme) {
			local = append(local, *ref)
		}
	}
	slices.Sort(local)
	return slices.Compact(local)
}

// Replace is s with each reference that is a key of with replaced by the value;
// s itself stays as it is.
func (s Spec) Replace(with map[string]string) Spec {
	s = s.clone()
	for _, ref := range s.refs() {
		if to, ok := with[*ref]; ok {
			*ref = to
		}
	}
	return s
}

// Resolved checks what Validate leaves to the submitter: that no reference is
// to a file of its disk.
func (s Spec) Resolved() error {
	if local := s.Local(); len(local) > 0 {
		return fmt.Errorf("%q is a path on the submitter's disk: add it to IPFS and refer to it as ipfs://CID, as node submit does", clip(local[0]))
	}
	return nil
}

// refs are the places in s where a reference stands.
func (s *Spec) refs() []*string {
	var refs []*string
	if s.Task.WASM != nil {
		refs = append(refs, &s.Task.WASM.Module)
	}
	for i := range s.Inputs {
		refs = append(refs, &s.Inputs[i].From)
	}
	return refs
}

// clone is a copy that shares nothing with s.
func (s Spec) clone() Spec {
	if s.Task.WASM != nil {
		wasm := *s.Task.WASM
		s.Task.WASM = &wasm
	}
	s.Task.Args = slices.Clone(s.Task.Args)
	s.Task.Env = maps.Clone(s.Task.Env)
	s.Inputs = slices.Clone(s.Inputs)
	s.Outputs = slices.Clone(s.Outputs)
	return s
}

// What a spec that does not say otherwise asks for.
const (
	DefaultCPU     = CPU(1000)
	DefaultMemory  = Bytes(256 << 20)
	DefaultTimeout = Duration(time.Hour)
)

// WithDefaults is s with what it left open filled in.
func (s Spec) WithDefaults() Spec {
	if s.Resources.CPU == 0 {
		s.Resources.CPU = DefaultCPU
	}
	if s.Resources.Memory == 0 {
		s.Resources.Memory = DefaultMemory
	}
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	return s
}
