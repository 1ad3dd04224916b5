package node

import (
	"maps"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

// automatic are the labels that a node sets itself, from what it is.
var automatic = map[string]bool{"os": true, "arch": true, "cpus": true, "memory": true, "version": true, "wasm": true}

// labels are what this node says of itself: the automatic ones and the
// operator's. engine is that of WebAssembly, "" where it runs none.
func (c Config) labels(engine string) map[string]string {
	l := maps.Clone(c.Labels)
	if l == nil {
		l = map[string]string{}
	}
	l["os"] = runtime.GOOS
	l["arch"] = runtime.GOARCH
	l["cpus"] = strconv.Itoa(runtime.NumCPU())
	l["memory"] = strconv.FormatInt(int64(machineMemory()>>20), 10) + "MiB"
	l["version"] = labelValue(c.Version)
	if engine != "" {
		l["wasm"], _, _ = strings.Cut(engine, " ")
	}
	return l
}

// labelValue makes s fit for a label's value: others become '-'.
func labelValue(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '-'
	}, s)
	return strings.Trim(s[:min(len(s), 63)], "-_.")
}

// machineMemory is the machine's memory.
func machineMemory() job.Bytes {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 1 << 30 // what the smallest machine that is meant has
	}
	return job.Bytes(info.Totalram) * job.Bytes(info.Unit)
}
