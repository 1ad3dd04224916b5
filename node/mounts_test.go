package node

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap/zaptest"

	"golang.org/x/sys/unix"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// A job reads a peer's folder in place: where it is, as it is then, and nothing
// above it.
func TestJobReadsAMountOfAnotherPeer(t *testing.T) {
	t.Parallel()
	a := start(t, Config{Private: true, Initial: true, Labels: map[string]string{"site": "attic"}})
	dir := t.TempDir()
	logs := filepath.Join(dir, "logs")
	if err := errors.Join(os.Mkdir(logs, 0o755), os.WriteFile(filepath.Join(logs, "app"), []byte("first\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o644), os.Symlink("../secret", filepath.Join(logs, "up"))); err != nil {
		t.Fatal(err)
	}
	b := start(t, Config{Join: a.offer.API, Token: a.offer.Join.Token, Labels: map[string]string{"site": "barn"}, Mounts: map[string]string{"logs": logs}})
	a.waitPeers(2)
	b.waitPeers(2)

	submit := func(from string, args ...string) string {
		t.Helper()
		s := a.job(args...)
		s.Spec.Inputs = []job.Input{{From: from, At: "/in"}}
		return a.submit(s)
	}
	run := func(from string, args ...string) job.Job {
		t.Helper()
		return a.wait(submit(from, args...))
	}
	j := run("mount://logs", "list", "/in", "cat", "/in/app")
	if stdout, _ := a.output(string(j.ID), api.LogOptions{Follow: true}); j.State() != job.Done || j.Tasks[0].Executor != b.id || !strings.HasSuffix(stdout, "first\n") {
		t.Errorf("%s at %s, output %q", j.State(), j.Tasks[0].Executor, stdout)
	}
	if err := os.WriteFile(filepath.Join(logs, "app"), []byte("first\nsecond\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	j = run("mount://logs/app", "cat", "/in")
	if stdout, _ := a.output(string(j.ID), api.LogOptions{Follow: true}); j.State() != job.Done || stdout != "first\nsecond\n" {
		t.Errorf("%s, output %q", j.State(), stdout)
	}
	for _, args := range [][]string{{"cat", "/in/up"}, {"cat", "/in/../secret"}, {"write", "/in/app", "x"}, {"write", "/in/new", "x"}} {
		if j := run("mount://logs", args...); j.State() != job.Failed || j.Tasks[0].Result == nil || j.Tasks[0].Result.Exit != 1 {
			t.Errorf("%q: %s, %+v", args, j.State(), j.Tasks[0].Result)
		}
	}
	// What is not there is no fault of the job: another peer may have it.
	id := submit("mount://logs/web", "print", "x")
	lost := func(e job.Event) bool { return e.Kind == job.Lost }
	j = a.waitFor(id, "it was tried", func(j job.Job) bool { return slices.ContainsFunc(j.History, lost) })
	e := j.History[slices.IndexFunc(j.History, lost)]
	if e.Peer != b.id || !e.Blame || !strings.Contains(e.Reason, `there is no "web" in the mount logs of this peer`) || strings.Contains(e.Reason, logs) || j.Terminal() {
		t.Errorf("%s, %+v", j.State(), e)
	}
	if _, err := a.Cancel(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func TestMountsThatAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, file := filepath.Join(dir, "home"), filepath.Join(dir, "file")
	if err := errors.Join(os.MkdirAll(filepath.Join(home, "work"), 0o700), os.WriteFile(file, nil, 0o600), os.Symlink(home, filepath.Join(dir, "alias"))); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		mount, path string
		want        []string
	}{
		"name":                {"a b", dir, []string{"--mount a b=", "is no name", "63"}},
		"empty name":          {"", dir, []string{"is no name"}},
		"long name":           {strings.Repeat("n", 64), dir, []string{"is no name"}},
		"relative":            {"m", "logs", []string{"--mount m=logs", "no absolute path"}},
		"tilde":               {"m", "~/logs", []string{"no absolute path"}},
		"missing":             {"m", filepath.Join(dir, "none"), []string{"--mount: mount m:", "no such file"}},
		"file":                {"m", file, []string{"is no folder", "by the folder that it is in"}},
		"the whole machine":   {"m", "/", []string{"--mount m=/", "whole machine"}},
		"the same, unclean":   {"m", "/tmp/..", []string{"whole machine"}},
		"home":                {"m", home, []string{"home " + home, "keys"}},
		"home by a link":      {"m", filepath.Join(dir, "alias"), []string{"home " + home}},
		"above home":          {"m", dir, []string{"home " + home}},
		"in home":             {"m", filepath.Join(home, "work"), []string{"is in this node's home"}},
		"processes":           {"m", "/proc", []string{"view of the running system"}},
		"process":             {"m", "/proc/self", []string{"view of the running system"}},
		"the system's":        {"m", "/sys/kernel", []string{"view of the running system"}},
		"devices":             {"m", "/dev", []string{"view of the running system"}},
		"devices, as written": {"m", "//dev/./", []string{"view of the running system"}},
	} {
		_, err := tryStart(t, Config{Home: home, Mounts: map[string]string{tc.mount: tc.path}})
		for _, want := range tc.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want %q", name, err, want)
			}
		}
	}
}

// A disk that is unplugged is not offered, until it is back.
func TestMountThatIsGoneIsNotOffered(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Mounts: map[string]string{"disk": path}}
	folders, err := executor.OpenFolders(cfg.Mounts)
	if err != nil {
		t.Fatal(err)
	}
	l, last := said(t, cfg, filepath.Join(t.TempDir(), "labels.json"))
	log := zaptest.NewLogger(t)
	l.recheck(folders, log)
	if *last != nil || l.all()["mount/disk"] != "yes" {
		t.Errorf("announced %v, has %v", *last, l.all())
	}
	for range 2 {
		if err := errors.Join(os.Rename(path, path+".away"), os.Mkdir(path, 0o755)); err != nil {
			t.Fatal(err)
		}
		l.recheck(folders, log)
		if _, there := (*last)["mount/disk"]; there || (*last)["os"] != "linux" {
			t.Errorf("unplugged, it announces %v", *last)
		}
		if err := errors.Join(os.Remove(path), os.Rename(path+".away", path)); err != nil {
			t.Fatal(err)
		}
		l.recheck(folders, log)
		if (*last)["mount/disk"] != "yes" {
			t.Errorf("back again, it announces %v", *last)
		}
	}
}

// The home is found under a second name too, as a volume has that a container
// mounts twice.
func TestHomeUnderAnotherName(t *testing.T) {
	dir := t.TempDir()
	home, alias := filepath.Join(dir, "data", "home"), filepath.Join(dir, "alias")
	if err := errors.Join(os.MkdirAll(filepath.Join(home, "work"), 0o700), os.Mkdir(alias, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(filepath.Dir(home), alias, "", unix.MS_BIND, ""); errors.Is(err, unix.EPERM) {
		t.Skip("only root may mount a folder in a second place")
	} else if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(alias, 0); err != nil {
			t.Error(err)
		}
	}()
	for path, want := range map[string]string{
		alias:                                "home " + home + ", with its keys, is in it",
		filepath.Join(alias, "home"):         "home " + home,
		filepath.Join(alias, "home", "work"): "is in this node's home",
	} {
		_, err := openMounts(Config{Mounts: map[string]string{"m": path}}, home)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", path, err, want)
		}
	}
	if _, err := openMounts(Config{Mounts: map[string]string{"m": t.TempDir()}}, home); err != nil {
		t.Errorf("a folder beside the home: %v", err)
	}
}
