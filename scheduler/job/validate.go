package job

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/labels"
)

// Bounds on a spec. They are far beyond what jobs need and keep one submission
// from costing a node much. What they let through, messages between peers hold.
const (
	maxMounts  = 100                              // inputs and outputs, each
	maxWords   = 4096                             // arguments and variables, each
	maxText    = 4096                             // bytes of a path, a reference or a selector
	maxCPU     = CPU(4096 * 1000)                 // 4096 processors
	minMemory  = Bytes(1 << 20)                   // 1 MiB
	maxMemory  = Bytes(4 << 30)                   // all that a WebAssembly program can address
	maxTimeout = Duration(30 * 24 * time.Hour)    // 30 days
	minTimeout = Duration(100 * time.Millisecond) // less cannot start a program
)

// Validate checks what the types cannot say. Its error is a Faults: everything
// that was found, each with the path of its field. Local references are
// allowed; see Resolved.
func (s Spec) Validate() error {
	var fs Faults
	if s.Name != "" && !isName(s.Name) {
		fs.add("name", nameRule, "%q is no name", clip(s.Name))
	}
	s.Task.validate(&fs)
	s.mounts(&fs)
	s.outputNames(&fs)
	s.Resources.validate(&fs)
	s.where(&fs)
	if s.Timeout != 0 && (s.Timeout < minTimeout || s.Timeout > maxTimeout) {
		fs.add("timeout", "", "%v is not between %v and %v", s.Timeout, minTimeout, maxTimeout)
	}
	return fs.err()
}

const nameRule = "a name has at most 63 letters, digits, dashes, underscores and points, and begins and ends with a letter or digit"

// isName is the rule for label values, which is also safe as a file's name.
func isName(s string) bool {
	plain := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	}
	if s == "" || len(s) > 63 || !plain(s[0]) || !plain(s[len(s)-1]) {
		return false
	}
	for _, c := range []byte(s) {
		if !plain(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func (t Task) validate(fs *Faults) {
	switch {
	case t.WASM == nil:
		fs.add("task", "say what to run, for example wasm: {module: ./main.wasm}", "wasm is missing")
	case t.WASM.Module == "":
		fs.add("task.wasm", "give a path or ipfs://CID", "module is missing")
	default:
		checkRef(fs, "task.wasm.module", t.WASM.Module, false)
		if _, sub, err := ParseIPFS(t.WASM.Module); err == nil && sub != "" {
			fs.add("task.wasm.module", "give the CID of the module itself", "%q leads into a folder", clip(t.WASM.Module))
		}
	}
	if len(t.Args) > maxWords || len(t.Env) > maxWords {
		fs.add("task", "give long lists in a file that is an input", "more than %d arguments or variables", maxWords)
		return
	}
	for i, arg := range t.Args {
		if strings.ContainsRune(arg, 0) {
			fs.add(fmt.Sprintf("task.args[%d]", i), "", "has a NUL character in it")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Env)) {
		switch {
		case name == "" || strings.ContainsFunc(name, func(c rune) bool {
			return c == '=' || c == unicode.ReplacementChar || unicode.IsControl(c) || unicode.IsSpace(c)
		}):
			fs.add("task.env", "use letters, digits and underscores", "%q cannot name a variable", clip(name))
		case strings.ContainsRune(t.Env[name], 0):
			fs.add("task.env."+name, "", "has a NUL character in it")
		}
	}
}

// mounts checks where inputs and outputs come from and where the task sees
// them: nothing may hide anything else.
func (s Spec) mounts(fs *Faults) {
	if len(s.Inputs) > maxMounts || len(s.Outputs) > maxMounts {
		fs.add("", "put them into one folder", "more than %d inputs or outputs", maxMounts)
		return
	}
	type mount struct{ field, at string }
	var seen []mount
	place := func(field, at string) {
		if !checkAt(fs, field, at) {
			return
		}
		for _, m := range seen {
			switch {
			case m.at == at:
				fs.add(field+".at", "give each its own path", "%q is where %s stands already", at, m.field)
				return
			case strings.HasPrefix(at, m.at+"/"), strings.HasPrefix(m.at, at+"/"):
				fs.add(field+".at", "give each its own path, side by side", "%q and %q of %s are inside one another", at, m.at, m.field)
				return
			}
		}
		seen = append(seen, mount{field, at})
	}
	for i, in := range s.Inputs {
		field := fmt.Sprintf("inputs[%d]", i)
		if in.From == "" {
			fs.add(field, "give a path, ipfs://CID or mount://NAME/PATH", "from is missing")
		} else {
			checkRef(fs, field+".from", in.From, true)
		}
		place(field, in.At)
	}
	for i, out := range s.Outputs {
		place(fmt.Sprintf("outputs[%d]", i), out.At)
	}
}

// checkAt checks a path as the task sees it and reports whether it is good.
func checkAt(fs *Faults, field, at string) bool {
	clean := path.Clean("/" + at)
	switch {
	case at == "":
		fs.add(field, "give the path at which the task sees it", "at is missing")
	case len(at) > maxText || strings.ContainsFunc(at, unicode.IsControl):
		fs.add(field+".at", "", "%q is too long, or has control characters in it", clip(at))
	case clean == "/":
		fs.add(field+".at", "give a folder below it, such as /inputs", "%q is the root", clip(at))
	case clean != at:
		fs.add(field+".at", "write "+clip(clean), "%q is no clean absolute path", clip(at))
	default:
		return true
	}
	return false
}

// outputNames checks the names under which results are found, which become
// folders on the disk of whoever fetches them.
func (s Spec) outputNames(fs *Faults) {
	first := make(map[string]int)
	for i, out := range s.Outputs {
		field := fmt.Sprintf("outputs[%d]", i)
		before, twice := first[strings.ToLower(out.Name)]
		switch {
		case out.Name == "":
			fs.add(field, "give the name under which the result is found", "name is missing")
		case !isName(out.Name):
			fs.add(field+".name", nameRule, "%q is no name", clip(out.Name))
		case twice:
			fs.add(field+".name", "give each output its own name", "%q is the name of outputs[%d] already", out.Name, before)
		default:
			first[strings.ToLower(out.Name)] = i
		}
	}
}

func (r Resources) validate(fs *Faults) {
	if r.CPU < 0 || r.CPU > maxCPU {
		fs.add("resources.cpu", "", "%v is not between 1m and %v", r.CPU, maxCPU)
	}
	if r.Memory != 0 && (r.Memory < minMemory || r.Memory > maxMemory) {
		fs.add("resources.memory", "", "%v is not between %v and %v", r.Memory, minMemory, maxMemory)
	}
}

func (s Spec) where(fs *Faults) {
	if len(s.Where) > maxText {
		fs.add("where", "", "has more than %d characters", maxText)
		return
	}
	if _, err := labels.Parse(s.Where); err != nil {
		fs.add("where", "write it as region=eu,gpu!=none", "%q is no label selector: %v", clip(s.Where), err)
	}
}

// checkRef checks where data comes from: IPFS, a file beside the job file or, if
// it may, a mount of whichever peer runs the job.
func checkRef(fs *Faults, field, ref string, mount bool) {
	scheme, _, other := strings.Cut(ref, "://")
	known := "known are ipfs://CID and a path relative to the job file"
	if mount {
		known = "known are ipfs://CID, mount://NAME/PATH and a path relative to the job file"
	}
	switch {
	case len(ref) > maxText || strings.ContainsFunc(ref, unicode.IsControl):
		fs.add(field, "", "%q is too long, or has control characters in it", clip(ref))
	case strings.HasPrefix(ref, ipfsScheme):
		var f *Fault
		if _, _, err := ParseIPFS(ref); errors.As(err, &f) {
			fs.add(field, f.Remedy, "%s", f.What)
		}
	case strings.HasPrefix(ref, mountScheme) && mount:
		var f *Fault
		if _, _, err := ParseMount(ref); errors.As(err, &f) {
			fs.add(field, f.Remedy, "%s", f.What)
		}
	case strings.HasPrefix(ref, mountScheme):
		fs.add(field, "give ipfs://CID, or a path relative to the job file; data may come from a mount", "a program cannot come from a mount (%q)", clip(ref))
	case other:
		fs.add(field, known, "unknown scheme %q in %q", clip(scheme), clip(ref))
	case path.IsAbs(ref):
		fs.add(field, "put it into the job file's folder, or add it with node add PATH and write ipfs://CID", "%q is an absolute path", clip(ref))
	case path.Clean(ref) == ".." || strings.HasPrefix(path.Clean(ref), "../"):
		fs.add(field, "put it into the job file's folder, or add it with node add PATH and write ipfs://CID", "%q leads out of the job file's folder", clip(ref))
	}
}
