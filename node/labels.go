package node

import (
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// The labels that a node sets itself, from what it is and what it was told to
// offer. Nobody else may set them, nor any key with one of the prefixes.
var (
	automatic = []string{"os", "arch", "cpus", "memory", "version", "wasm", "hostname", job.AcceptsLabel}
	reserved  = []string{job.MountPrefix, job.AcceptsPrefix, "shoal/"}
)

// ownLabels are what this node says of itself to all peers, and the only place
// where that is put together. Safe for concurrent use.
//
// A key has one value. It comes from the node itself, from --label, or from
// `node labels set`; these are kept in the home and last until `node labels rm`.
// --label wins over what is kept: who starts a node knows what it is today.
type ownLabels struct {
	file     string                        // where what was set is kept
	announce func(map[string]string) error // tells all peers; nil before the mesh is there

	mu     sync.Mutex
	mounts map[string]string // that it offers, by name
	auto   map[string]string // the node's own
	given  map[string]string // by --label
	stored map[string]string // by labels set
}

// newOwnLabels reads what was set before and adds what cfg says. private is what
// the node's swarm is.
func newOwnLabels(cfg Config, private bool, file string) (*ownLabels, error) {
	stored, err := readLabels(file)
	if err != nil {
		return nil, err
	}
	l := &ownLabels{file: file, mounts: cfg.Mounts, auto: cfg.autoLabels(private), given: cfg.Labels, stored: stored}
	return l, l.fits(l.stored)
}

// autoLabels are those that the node sets itself, but for its engine.
func (c Config) autoLabels(private bool) map[string]string {
	l := map[string]string{
		"os":      runtime.GOOS,
		"arch":    runtime.GOARCH,
		"cpus":    strconv.Itoa(runtime.NumCPU()),
		"memory":  strconv.FormatInt(int64(machineMemory()>>20), 10) + "MiB",
		"version": labelValue(c.Version),
	}
	if c.LabelHostname {
		if name, err := os.Hostname(); err == nil {
			l["hostname"] = labelValue(name)
		}
	}
	for name := range c.Mounts {
		l[job.MountPrefix+name] = "yes"
	}
	if c.listed(private) {
		l[job.AcceptsLabel] = job.AcceptsListed
		for _, id := range c.accept() {
			l[job.AcceptsPrefix+string(id)] = "yes"
		}
	}
	return l
}

// all are the labels that peers are told.
func (l *ownLabels) all() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.merged(l.stored)
}

func (l *ownLabels) merged(stored map[string]string) map[string]string {
	all := map[string]string{}
	for _, from := range []map[string]string{stored, l.given, l.auto} {
		maps.Copy(all, from)
	}
	return all
}

// fits refuses more labels than peers take. The engine's is not known at first.
func (l *ownLabels) fits(stored map[string]string) error {
	all := l.merged(stored)
	all["wasm"] = ""
	if len(all) > p2p.MaxLabels {
		return api.Errorf(api.CodeInvalid, "this node would have %d labels, and %d is the most that peers take, the node's own included: remove some with `node labels rm KEY`, or give fewer with --label", len(all), p2p.MaxLabels)
	}
	return nil
}

// setAuto changes labels of the node's own, an empty value taking one away, and
// tells all peers.
func (l *ownLabels) setAuto(change map[string]string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.auto = maps.Clone(l.auto)
	for k, v := range change {
		if l.auto[k] = v; v == "" {
			delete(l.auto, k)
		}
	}
	return l.announce(l.merged(l.stored))
}

// list is every label with where it comes from, by key.
func (l *ownLabels) list() []api.Label {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []api.Label
	for k, v := range l.merged(l.stored) {
		e := api.Label{Key: k, Value: v, From: api.LabelSet}
		if _, ok := l.given[k]; ok {
			e.From = api.LabelFlag
		}
		if _, ok := l.auto[k]; ok {
			e.From = api.LabelAutomatic
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b api.Label) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// change sets and removes labels, all of them or, with an error, none: first on
// disk, then at the peers.
func (l *ownLabels) change(c api.LabelChange) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	stored := maps.Clone(l.stored)
	for _, k := range slices.Sorted(maps.Keys(c.Set)) {
		if err := checkLabel(k, c.Set[k]); err != nil {
			return err
		}
		if v, ok := l.given[k]; ok {
			return api.Errorf(api.CodeConflict, "label %s is %q since the node was started with --label %s=%s, which wins: start it without that, then set the label", k, v, k, v)
		}
		stored[k] = c.Set[k]
	}
	for _, k := range slices.Compact(slices.Sorted(slices.Values(c.Remove))) {
		_, given := l.given[k]
		_, both := c.Set[k]
		_, there := stored[k]
		switch {
		case both:
			return api.Errorf(api.CodeInvalid, "label %.80q is to be set and removed at once: ask for one of the two", k)
		case ownKey(k) && !there:
			return errOwnKey(k)
		case given:
			return api.Errorf(api.CodeConflict, "label %s comes from --label, with which the node was started: start it without that to be rid of the label", k)
		case !there:
			return api.Errorf(api.CodeNotFound, "this node has no label %.80q: `node labels` lists those it has", k)
		}
		delete(stored, k)
	}
	if err := l.fits(stored); err != nil {
		return err
	}
	if maps.Equal(stored, l.stored) {
		return nil
	}
	if err := writeLabels(l.file, stored); err != nil {
		return err
	}
	l.stored = stored
	return l.announce(l.merged(stored))
}

// ownKey tells whether the node sets the label itself.
func ownKey(key string) bool {
	return slices.Contains(automatic, key) || slices.ContainsFunc(reserved, func(p string) bool { return strings.HasPrefix(key, p) })
}

func errOwnKey(key string) error {
	hint := "choose another key"
	switch {
	case key == "hostname":
		hint = "start the node with --label-hostname to have it announced"
	case strings.HasPrefix(key, job.MountPrefix):
		hint = "start the node with --mount NAME=PATH to have it announced"
	case strings.HasPrefix(key, job.AcceptsLabel):
		hint = "start the node with --accept-from PEER to have it announced"
	}
	return api.Errorf(api.CodeInvalid, "the node sets the label %s itself: %s", key, hint)
}

// checkLabel refuses a label that may not be set.
func checkLabel(key, value string) error {
	if ownKey(key) {
		return errOwnKey(key)
	}
	return checkGrammar(key, value)
}

// checkGrammar refuses what no selector could name.
func checkGrammar(key, value string) error {
	if bad := validation.IsQualifiedName(key); len(bad) > 0 {
		return api.Errorf(api.CodeInvalid, "%.80q cannot be the key of a label: %s", key, bad[0])
	}
	if bad := validation.IsValidLabelValue(value); len(bad) > 0 {
		return api.Errorf(api.CodeInvalid, "%.80q cannot be the value of label %s: %s", value, key, bad[0])
	}
	return nil
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
