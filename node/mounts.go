package node

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// checkMounts refuses mounts that cannot be meant, without a look at the disk.
func (c Config) checkMounts() error {
	for _, name := range slices.Sorted(maps.Keys(c.Mounts)) {
		path := c.Mounts[name]
		switch {
		case !job.IsMountName(name):
			return fmt.Errorf("--mount %s=%s: %.80q is no name; %s", name, path, name, job.MountNameRule)
		case !filepath.IsAbs(path):
			return fmt.Errorf("--mount %s=%s: %q is no absolute path; write it out, from / on", name, path, path)
		}
	}
	return nil
}

// live are folders that are no data, but a view of the running system.
var live = []string{"/proc", "/sys", "/dev"}

// openMounts looks at the folders that are offered. Symbolic links to them are
// followed now, and what counts is where they lead: jobs must not reach the
// node's keys, which are in its home. "/" has the home in it wherever that is.
func openMounts(cfg Config, home string) (executor.Folders, error) {
	refuse := func(name, format string, args ...any) error {
		return api.Errorf(api.CodeInvalid, "--mount %s=%s: %s", name, cfg.Mounts[name], fmt.Sprintf(format, args...))
	}
	folders, err := executor.OpenFolders(cfg.Mounts)
	if err != nil {
		return folders, api.Errorf(api.CodeInvalid, "--mount: %w", err)
	}
	home, err = filepath.EvalSymlinks(home)
	if err != nil {
		return folders, fmt.Errorf("find the home folder: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Mounts)) {
		switch path := folders.Path(name); {
		case path == "/":
			return folders, refuse(name, "that is the whole machine, with this node's keys and everybody's secrets; offer the folder that has the data")
		case within(home, path), holds(path, home):
			return folders, refuse(name, "this node's home %s, with its keys, is in it; offer a folder beside it, or start the node with another --home", home)
		case within(path, home), holds(home, path):
			return folders, refuse(name, "it is in this node's home %s, where its keys and others' jobs are; offer a folder outside", home)
		case slices.ContainsFunc(live, func(l string) bool { return within(path, l) }):
			return folders, refuse(name, "it is no folder of data but a view of the running system; offer one that has the data")
		}
	}
	return folders, nil
}

// within reports whether path is folder or below it. Both are clean.
func within(path, folder string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(folder, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// holds is within the other way round, whatever the folder is called: one that is
// mounted in two places has two names, as a container's volumes may have.
func holds(folder, path string) bool {
	it, err := os.Stat(folder)
	if err != nil {
		return false
	}
	for at := path; ; at = filepath.Dir(at) {
		if fi, err := os.Stat(at); err == nil && os.SameFile(fi, it) {
			return true
		}
		if at == filepath.Dir(at) {
			return false
		}
	}
}

// mountCheck is how often the folders that are offered are looked at: one that is
// gone, on a disk that was unplugged, is not offered until it is back.
const mountCheck = 10 * time.Second

// watchMounts keeps the labels of the mounts true until ctx ends.
func (p *parts) watchMounts(ctx context.Context) error {
	if len(p.cfg.Mounts) == 0 {
		return nil
	}
	tick := time.NewTicker(mountCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			p.said.recheck(p.folders, p.log)
		}
	}
}

// recheck takes away the labels of mounts that are gone, and gives them back to
// those that have returned.
func (l *ownLabels) recheck(folders executor.Folders, log *zap.Logger) {
	now := l.all()
	change := map[string]string{}
	for name := range l.mounts {
		key := job.MountPrefix + name
		switch err := folders.Check(name); {
		case err != nil && now[key] != "":
			change[key] = ""
			log.Warn("a mount is not offered any more", zap.String("mount", name), zap.String("path", folders.Path(name)), zap.Error(err))
		case err == nil && now[key] == "":
			change[key] = "yes"
			log.Info("a mount is offered again", zap.String("mount", name))
		}
	}
	if len(change) == 0 {
		return
	}
	if err := l.setAuto(change); err != nil {
		log.Warn("the change of the mounts was not announced", zap.Error(err))
	}
}
