package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// said is a node's labels, and what was last announced of them.
func said(t *testing.T, cfg Config, file string) (*ownLabels, *map[string]string) {
	t.Helper()
	l, err := newOwnLabels(cfg, true, file)
	if err != nil {
		t.Fatal(err)
	}
	last := new(map[string]string)
	l.announce = func(all map[string]string) error { *last = all; return nil }
	return l, last
}

func TestLabelsAreKeptAndFlagsWin(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "labels.json")
	l, last := said(t, Config{Labels: map[string]string{"site": "attic"}}, file)
	if err := l.setAuto(map[string]string{"wasm": "wazero"}); err != nil || (*last)["wasm"] != "wazero" {
		t.Fatalf("%v, %v", *last, err)
	}
	if err := l.change(api.LabelChange{Set: map[string]string{"disk": "ssd", "example.org/rack": "7"}}); err != nil {
		t.Fatal(err)
	}
	if a := *last; a["disk"] != "ssd" || a["example.org/rack"] != "7" || a["site"] != "attic" || a["wasm"] != "wazero" || a["os"] != "linux" {
		t.Errorf("announced %v", a)
	}
	if _, there := (*last)["hostname"]; there {
		t.Error("the hostname was announced, and nobody asked for it")
	}
	// After a restart, with another flag: it wins over what was set, and stays no longer than it is given.
	l, _ = said(t, Config{Labels: map[string]string{"disk": "none"}, LabelHostname: true}, file)
	if a := l.all(); a["disk"] != "none" || a["example.org/rack"] != "7" || a["site"] != "" {
		t.Errorf("after a restart: %v", a)
	}
	if name, err := os.Hostname(); err == nil && l.all()["hostname"] != labelValue(name) {
		t.Errorf("the hostname is %q, and announced as %q", name, l.all()["hostname"])
	}
	l, last = said(t, Config{}, file)
	if a := l.all(); a["disk"] != "ssd" {
		t.Errorf("without the flag: %v", a)
	}
	if err := l.change(api.LabelChange{Remove: []string{"disk"}, Set: map[string]string{"a": "1"}}); err != nil {
		t.Fatal(err)
	}
	if _, there := (*last)["disk"]; there || (*last)["a"] != "1" {
		t.Errorf("announced %v", *last)
	}
	froms := map[string]string{}
	for _, e := range l.list() {
		froms[e.Key] = e.From
	}
	if froms["a"] != api.LabelSet || froms["os"] != api.LabelAutomatic {
		t.Errorf("labels come from %v", froms)
	}
}

func TestLabelChangesThatAreRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "labels.json")
	l, last := said(t, Config{Labels: map[string]string{"site": "attic"}}, file)
	if err := l.change(api.LabelChange{Set: map[string]string{"disk": "ssd"}}); err != nil {
		t.Fatal(err)
	}
	before, onDisk := l.all(), readFile(t, file)
	many := map[string]string{}
	for i := range p2p.MaxLabels {
		many[fmt.Sprint("k", i)] = "x"
	}
	set := func(k, v string) api.LabelChange {
		return api.LabelChange{Set: map[string]string{"fine": "1", k: v}}
	}
	for _, tc := range []struct {
		name   string
		change api.LabelChange
		code   api.Code
		want   string
	}{
		{"no key", set("", "x"), api.CodeInvalid, "cannot be the key of a label"},
		{"key with a space", set("a b", "x"), api.CodeInvalid, `"a b" cannot be the key`},
		{"key with two slashes", set("a/b/c", "x"), api.CodeInvalid, "cannot be the key"},
		{"long key", set(strings.Repeat("k", 64), "x"), api.CodeInvalid, "63"},
		{"long value", set("a", strings.Repeat("v", 64)), api.CodeInvalid, "cannot be the value of label a"},
		{"value with a newline", set("a", "x\ny"), api.CodeInvalid, "cannot be the value"},
		{"automatic", set("arch", "z80"), api.CodeInvalid, "sets the label arch itself"},
		{"engine", set("wasm", "mine"), api.CodeInvalid, "sets the label wasm itself"},
		{"hostname", set("hostname", "h"), api.CodeInvalid, "--label-hostname"},
		{"a mount that is none", set("mount/logs", "yes"), api.CodeInvalid, "--mount NAME=PATH"},
		{"acceptance", set("accepts", "everybody"), api.CodeInvalid, "--accept-from"},
		{"reserved prefix", set("shoal/x", "y"), api.CodeInvalid, "choose another key"},
		{"from a flag", set("site", "barn"), api.CodeConflict, "--label site=attic"},
		{"too many", api.LabelChange{Set: many}, api.CodeInvalid, "64 is the most"},
		{"remove what is not there", api.LabelChange{Remove: []string{"disk", "moon"}}, api.CodeNotFound, `no label "moon"`},
		{"remove a flag's", api.LabelChange{Remove: []string{"site"}}, api.CodeConflict, "--label"},
		{"remove an automatic one", api.LabelChange{Remove: []string{"os"}}, api.CodeInvalid, "sets the label os itself"},
		{"both", api.LabelChange{Set: map[string]string{"a": "1"}, Remove: []string{"a"}}, api.CodeInvalid, "set and removed at once"},
	} {
		err := l.change(tc.change)
		if api.CodeOf(err) != tc.code || !strings.Contains(fmt.Sprint(err), tc.want) {
			t.Errorf("%s: %s, %v; want %s, %q", tc.name, api.CodeOf(err), err, tc.code, tc.want)
		}
		if tc.name == "automatic" || len(tc.change.Set) == 0 || tc.name == "too many" || tc.name == "both" {
			continue
		}
		for k, v := range tc.change.Set { // the same by --label
			if k == "site" || k == "fine" {
				continue
			}
			if _, err := New(Config{Home: t.TempDir(), Labels: map[string]string{k: v}}, nil); err == nil || !strings.Contains(err.Error(), "--label") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s by --label: %v; want %q", tc.name, err, tc.want)
			}
		}
	}
	if !maps.Equal(l.all(), before) || readFile(t, file) != onDisk || !maps.Equal(*last, before) {
		t.Errorf("what was refused changed the labels from %v to %v", before, l.all())
	}
	if _, err := newOwnLabels(Config{Labels: many}, true, filepath.Join(t.TempDir(), "x")); err == nil || !strings.Contains(err.Error(), "64 is the most") {
		t.Errorf("too many by --label: %v", err)
	}
	// What cannot be kept is not announced either.
	l.file = filepath.Join(t.TempDir(), "gone", "labels.json")
	if err := l.change(api.LabelChange{Set: map[string]string{"a": "1"}}); !errors.Is(err, os.ErrNotExist) || !maps.Equal(l.all(), before) {
		t.Errorf("%v, labels %v", err, l.all())
	}
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDamagedLabelFileIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "cut": `{"version":1,"labels":{"a":`, "no labels": `{"version":1}`, "no version": `{"labels":{}}`, "more": `{"version":1,"labels":{},"more":1}`,
		"type": `{"version":1,"labels":{"a":1}}`, "key": `{"version":1,"labels":{"a b":"c"}}`, "newer": `{"version":2,"tags":[]}`, "huge": strings.Repeat(" ", maxLabelFile+1),
	} {
		home := t.TempDir()
		file := filepath.Join(home, "labels.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want := "is damaged"
		if name == "newer" {
			want = "newer Shoal"
		}
		if _, err := tryStart(t, Config{Home: home}); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want it refused, by the file's name", name, err)
		}
		if readFile(t, file) != text {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// A label that is set while the swarm runs is everybody's to see, and places the
// job that waited for it; one that is taken away places no more.
func TestJobWaitsForALabelThatIsSet(t *testing.T) {
	t.Parallel()
	a, b, c := three(t)
	s := c.job("print", "x")
	s.Spec.Where = "colour=blue"
	id := c.submit(s)
	if j, err := c.Job(t.Context(), id); err != nil || j.State() != job.Waiting || !strings.Contains(j.Reason, "colour=blue") {
		t.Fatalf("%s, %q, %v", j.State(), j.Reason, err)
	}
	if _, err := b.ChangeLabels(t.Context(), api.LabelChange{Set: map[string]string{"colour": "blue"}}); err != nil {
		t.Fatal(err)
	}
	if j := c.wait(id); j.State() != job.Done || j.Tasks[0].Executor != b.id {
		t.Errorf("the job is %s at %s", j.State(), j.Tasks[0].Executor)
	}
	sees := func(r *running, want string) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s sees colour=%s", r.cfg.Labels["site"], want), func(ctx context.Context) bool {
			peers, err := r.Peers(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range peers {
				if p.ID == b.id {
					return p.Labels["colour"] == want && p.Labels["wasm"] != "" && p.Labels["site"] == "barn"
				}
			}
			return false
		})
	}
	sees(a, "blue")
	sees(c, "blue")
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	b = start(t, Config{Home: b.home, Labels: map[string]string{"site": "barn"}})
	sees(a, "blue")
	if _, err := b.ChangeLabels(t.Context(), api.LabelChange{Remove: []string{"colour"}}); err != nil {
		t.Fatal(err)
	}
	sees(a, "")
	sees(c, "")
	// The scheduler hears of a peer's labels a moment after those who list peers.
	eventually(t, "a job waits for the label again", func(ctx context.Context) bool {
		s.Nonce = rand.Text()
		j, err := c.Job(ctx, c.submit(s))
		if err != nil {
			t.Fatal(err)
		}
		return j.State() == job.Waiting
	})
}
