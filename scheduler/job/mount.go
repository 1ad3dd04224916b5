package job

import (
	"path"
	"slices"
	"strings"
)

// Labels by which nodes say whose jobs they run and which folders they offer.
// They are for owners to choose by; the executor looks at what it was started
// with.
const (
	// MountPrefix begins the label of a folder that a node offers to jobs:
	// mount/NAME=yes.
	MountPrefix = "mount/"
	// AcceptsLabel is on nodes that do not run everybody's jobs, with the value
	// AcceptsListed, and for each peer whose jobs they do run there is a label
	// AcceptsPrefix + its ID. Nodes without it run the jobs of the whole swarm.
	// Every node runs its own.
	AcceptsLabel  = "accepts"
	AcceptsPrefix = "accepts/"
	AcceptsListed = "listed"
)

// mountScheme begins a reference to a folder that a peer offers.
const mountScheme = "mount://"

// IsMountName tells whether a node may offer a folder under this name, which is
// part of a label's key.
func IsMountName(name string) bool { return isName(name) }

// MountNameRule says which names IsMountName takes.
const MountNameRule = nameRule

// ParseMount takes mount://NAME[/PATH] apart. The path has no leading slash and
// is clean; it is empty for the folder itself.
func ParseMount(ref string) (name, sub string, err error) {
	rest, ok := strings.CutPrefix(ref, mountScheme)
	if !ok {
		return "", "", fault("write mount://NAME/PATH", "%q is no mount:// reference", clip(ref))
	}
	name, sub, deep := strings.Cut(rest, "/")
	switch {
	case name == "":
		return "", "", fault("write mount://NAME/PATH, with a name that peers offer with serve --mount NAME=…", "%q names no mount", clip(ref))
	case !isName(name):
		return "", "", fault(nameRule, "%q is no name of a mount", clip(name))
	case deep && (sub == "" || path.Clean("/"+sub) != "/"+sub || strings.ContainsRune(sub, 0)):
		return "", "", fault("write names parted by single slashes, without . and ..", "%q is no clean path", clip(sub))
	}
	return name, sub, nil
}

// Mounts are the names of the mounts that inputs of s come from, each once and
// sorted. A peer that lacks one cannot run it.
func (s Spec) Mounts() []string {
	var names []string
	for _, in := range s.Inputs {
		if name, _, err := ParseMount(in.From); err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
