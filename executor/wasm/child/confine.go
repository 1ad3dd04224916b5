package child

import (
	"fmt"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// maxFiles holds the descriptors of a program that has as many folders open as
// the WASI lets it, two each, and the child's own.
const maxFiles = 2<<10 + 64

// limit sets the resource limits of the child. None of them is what a program
// meets first; they stand behind the limits of the engine and the parent.
func limit(t Task) error {
	limits := []struct {
		name     string
		resource int
		value    uint64
	}{
		{"core", unix.RLIMIT_CORE, 0},
		{"nofile", unix.RLIMIT_NOFILE, maxFiles},
		{"data", unix.RLIMIT_DATA, t.Data},
		{"cpu", unix.RLIMIT_CPU, t.CPU},
	}
	for _, l := range limits {
		if l.value == 0 && l.resource != unix.RLIMIT_CORE || l.resource == unix.RLIMIT_DATA && !limitsData {
			continue
		}
		var now unix.Rlimit
		if err := unix.Getrlimit(l.resource, &now); err != nil {
			return fmt.Errorf("reading the %s limit: %w", l.name, err)
		}
		v := min(l.value, now.Max)
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: v, Max: v}); err != nil {
			return fmt.Errorf("setting the %s limit: %w", l.name, err)
		}
	}
	return nil
}

// access is the files that a child may still reach: folders with everything
// below them, and single files.
type access struct {
	read, write           []string
	readFiles, writeFiles []string
}

func (a access) rules() []landlock.Rule {
	const look = landlock.AccessFSSet(llsys.AccessFSReadFile | llsys.AccessFSReadDir)
	var rules []landlock.Rule
	if len(a.read) > 0 {
		rules = append(rules, landlock.PathAccess(look, a.read...))
	}
	if len(a.readFiles) > 0 {
		rules = append(rules, landlock.PathAccess(llsys.AccessFSReadFile, a.readFiles...))
	}
	if len(a.write) > 0 {
		rules = append(rules, landlock.RWDirs(a.write...).WithRefer())
	}
	if len(a.writeFiles) > 0 {
		rules = append(rules, landlock.RWFiles(a.writeFiles...))
	}
	return rules
}

// confine gives up, for good and in every thread, new privileges and all files
// but those given; with a newer kernel also TCP, and sockets and signals of
// other processes. It answers with the layers that are in force: a kernel may
// lack Landlock.
func confine(a access) ([]string, error) {
	layers := []string{"rlimits"}
	if err := llsys.AllThreadsPrctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return layers, fmt.Errorf("giving up new privileges: %w", err)
	}
	layers = append(layers, "no_new_privs")
	abi, err := llsys.LandlockGetABIVersion()
	if err != nil || abi < 1 {
		return layers, nil
	}
	best := landlock.V5
	if signalsWork() {
		best = landlock.V6
	}
	if err := best.BestEffort().Restrict(a.rules()...); err != nil {
		return layers, fmt.Errorf("confining with Landlock: %w", err)
	}
	return append(layers, fmt.Sprintf("landlock %d", min(abi, 6))), nil
}

// signalsWork reports whether threads can signal one another once signals are
// confined. Each thread confines itself, and kernels without this correction
// then take them for strangers, which breaks Go's preemption.
func signalsWork() bool {
	const fixed = 1 << 1 // erratum 2: signals between the threads of a process
	errata, err := llsys.LandlockGetErrata()
	return err == nil && errata&fixed != 0
}
