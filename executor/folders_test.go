package executor_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/executor/fake"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// offered is a runner that offers the folder top as the mount logs.
func offered(t *testing.T, x executor.Executor) (r *executor.Runner, top string) {
	t.Helper()
	dir := t.TempDir()
	top = filepath.Join(dir, "top")
	for name, content := range map[string]string{"top/app/log": "one\n", "secret": "secret"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"out": "../../secret", "abs": "/etc", "latest": "log", "gone": "nothing", "dir": ".."} {
		if err := os.Symlink(to, filepath.Join(top, "app", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(top, filepath.Join(dir, "alias")); err != nil {
		t.Fatal(err)
	}
	folders, err := executor.OpenFolders(map[string]string{"logs": filepath.Join(dir, "alias")})
	if err != nil {
		t.Fatal(err)
	}
	if folders.Path("logs") != top || folders.Path("none") != "" {
		t.Errorf("it is at %q", folders.Path("logs"))
	}
	r, _ = newRunner(t, filepath.Join(dir, "work"), x)
	r.Offer(folders)
	return r, top
}

func TestRunnerMounts(t *testing.T) {
	t.Parallel()
	r, top := offered(t, &fake.Executor{})
	for _, c := range []struct {
		name, from, command string
		stdout              string // if it runs
		err                 string // of this machine, which no job is to blame for
	}{
		{"a folder", "mount://logs/app", "read=/in/log", "one\n", ""},
		{"the folder itself", "mount://logs", "read=/in/app/log", "one\n", ""},
		{"a file", "mount://logs/app/log", "read=/in", "one\n", ""},
		{"a link to a file in it", "mount://logs/app/latest", "read=/in", "one\n", ""},
		{"a link to a folder in it", "mount://logs/app/dir/app", "read=/in/log", "one\n", ""},
		{"missing", "mount://logs/web", "", "", `there is no "web" in the mount logs of this peer`},
		{"below a file", "mount://logs/app/log/x", "", "", `there is no "app/log/x" in the mount logs of this peer`},
		{"a link to nothing", "mount://logs/app/gone", "", "", `there is no "app/gone" in the mount logs`},
		{"a link out", "mount://logs/app/out", "", "", `"app/out" in the mount logs of this peer is, or lies behind, a symbolic link that leads out of the mount`},
		{"behind a link out", "mount://logs/app/abs/passwd", "", "", "leads out of the mount"},
		{"what is not offered", "mount://video/x", "", "", "this peer offers no mount video"},
		{"above", "mount://logs/../secret", "", "", "is no clean path"},
	} {
		sp := spec(c.command)
		sp.Inputs = []job.Input{{From: c.from, At: "/in"}}
		got, err := r.Run(t.Context(), owner, attempt(1), sp, func() {})
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), top) {
				t.Errorf("%s: got %+v, error %v; want %q and no path of this machine", c.name, got, err, c.err)
			}
			continue
		}
		p := make([]byte, 100)
		n, _, _ := r.ReadLog(owner, attempt(1), executor.Stdout, 0, p)
		if err != nil || !got.OK() || string(p[:n]) != c.stdout {
			t.Errorf("%s: got %+v, error %v, output %q", c.name, got, err, p[:n])
		}
	}
}

// meddler does something to the machine while a program runs.
type meddler struct {
	executor.Executor
	meddle func()
}

func (m meddler) Run(ctx context.Context, t executor.Task) (job.Result, error) {
	m.meddle()
	return m.Executor.Run(ctx, t)
}

// A folder that is no longer the one that was offered gives no results, neither
// if that is seen before nor if it happens while the program runs.
func TestRunnerMountIsReplaced(t *testing.T) {
	t.Parallel()
	for name, meddle := range map[string]func(top string) error{
		"gone": func(top string) error { return os.Rename(top, top+".away") },
		"another": func(top string) error {
			if err := os.Rename(top, top+".away"); err != nil {
				return err
			}
			return os.MkdirAll(filepath.Join(top, "app"), 0o755)
		},
		"a link": func(top string) error {
			if err := os.Rename(top, top+".away"); err != nil {
				return err
			}
			return os.Symlink(top+".away", top)
		},
	} {
		for _, when := range []string{"before", "meanwhile"} {
			var r *executor.Runner
			var top string
			do := func() {
				if err := meddle(top); err != nil {
					t.Error(err)
				}
			}
			during := do
			if when == "before" {
				during = func() { t.Errorf("%s: it ran", name) }
			}
			r, top = offered(t, meddler{&fake.Executor{}, during})
			if when == "before" {
				do()
			}
			sp := spec("print=x")
			sp.Inputs = []job.Input{{From: "mount://logs/app", At: "/in"}}
			got, err := r.Run(t.Context(), owner, attempt(1), sp, func() {})
			if err == nil || !strings.Contains(err.Error(), "the mount logs of this peer") || strings.Contains(err.Error(), top) {
				t.Errorf("%s, %s: got %+v, error %v", name, when, got, err)
			}
		}
	}
}

func TestOpenFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, shut := filepath.Join(dir, "file"), filepath.Join(dir, "shut")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(shut, 0); err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{filepath.Join(dir, "missing"): "no such file", file: "is no folder", filepath.Join(file, "x"): "not a directory"}
	if os.Geteuid() != 0 { // root reads everything
		bad[shut] = "permission denied"
	}
	for path, want := range bad {
		if _, err := executor.OpenFolders(map[string]string{"m": path}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "mount m: ") {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if _, err := executor.OpenFolders(nil); err != nil {
		t.Error(err)
	}
}
