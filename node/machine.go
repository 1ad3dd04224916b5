package node

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	landlock "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// What is enough, by experience with small machines: a repo with its databases
// needs some hundred MiB to go on, and a node with fifty peers some hundred
// descriptors, with a job's files on top.
const (
	tightDisk  = 1 << 30   // bytes free, below which doctor warns
	fullDisk   = 100 << 20 // and below which jobs will fail
	enoughOpen = 2048      // descriptors
)

// Examine looks at what can be looked at while no node runs with cfg's home: the
// home, the ports, and what the machine offers. It changes nothing.
func Examine(cfg Config) api.Report {
	dir, err := filepath.Abs(cfg.Home)
	if err != nil {
		dir = cfg.Home
	}
	_, keyless := os.Stat(filepath.Join(dir, "swarm.key"))
	cfg = cfg.withDefaults(keyless != nil && !cfg.Private && cfg.Join == "" && len(cfg.Peers) == 0)
	checks := []api.Check{{Name: "node", Status: api.Warning, Message: "no node runs with the home " + dir, Next: "start one with: node serve"}}
	checks = append(checks, machineChecks(cfg, dir)...)
	checks = append(checks, portCheck("api", cfg.API, "--api"))
	for _, l := range cfg.Listen {
		if at, ok := tcpAddress(l); ok {
			checks = append(checks, portCheck("listen", at, "--listen"))
		}
	}
	return api.Report{Checks: checks}
}

// machineChecks are about the home and the machine, whether a node runs or not.
func machineChecks(cfg Config, dir string) []api.Check {
	checks := homeChecks(dir)
	checks = append(checks, diskCheck(dir), memoryCheck(cfg), openFilesCheck(), sandboxCheck(), dateCheck(cfg.now()))
	return checks
}

// homeChecks are whether the home can be written, and what in it is a secret and
// lies open.
func homeChecks(dir string) []api.Check {
	check := api.Check{Name: "home", About: dir, Status: api.OK, Message: "it can be written by this account alone"}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		check.Message = "it is not there yet; `node serve` makes it"
		return []api.Check{check}
	case err != nil:
		check.Status, check.Message, check.Next = api.Problem, plainCause(err), "mend its path, or give another with --home"
		return []api.Check{check}
	case !info.IsDir():
		check.Status, check.Message, check.Next = api.Problem, "it is no folder", "move it away, or give another with --home"
		return []api.Check{check}
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		check.Status, check.Message, check.Next = api.Problem, "it cannot be written: "+err.Error(), "mend its owner or its file system, or give another with --home"
	} else if info.Mode().Perm()&0o022 != 0 {
		check.Status, check.Message, check.Next = api.Problem, fmt.Sprintf("others may write it (mode %04o)", info.Mode().Perm()), "run: chmod 700 "+dir
	} else if info.Mode().Perm()&0o055 != 0 {
		check.Message = fmt.Sprintf("others may look into it (mode %04o); its keys are their own business", info.Mode().Perm())
	}
	checks := []api.Check{check}
	for _, name := range []string{"identity.key", "swarm.key", "token"} {
		checks = append(checks, secretCheck(filepath.Join(dir, name))...)
	}
	return checks
}

// secretCheck finds fault with a secret that others than its owner can read.
func secretCheck(file string) []api.Check {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return []api.Check{{Name: "keys", About: file, Status: api.Problem, Message: plainCause(err), Next: "mend its owner"}}
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return []api.Check{{Name: "keys", About: file, Status: api.Problem,
		Message: fmt.Sprintf("others than its owner can use it (mode %04o), and no node starts with it", info.Mode().Perm()), Next: "run: chmod 600 " + file}}
}

func plainCause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// fileSystems are those that a home should not be on, and why.
var fileSystems = map[int64]struct{ name, why string }{
	unix.TMPFS_MAGIC:           {"tmpfs", "it is in memory: everything is lost when the machine restarts"},
	unix.RAMFS_MAGIC:           {"ramfs", "it is in memory: everything is lost when the machine restarts"},
	unix.OVERLAYFS_SUPER_MAGIC: {"overlay", "it is in a container's layer: everything is lost with the container"},
	unix.NFS_SUPER_MAGIC:       {"NFS", "locks and mapped databases are not safe there"},
	unix.SMB_SUPER_MAGIC:       {"SMB", "locks and mapped databases are not safe there"},
	unix.CIFS_SUPER_MAGIC:      {"CIFS", "locks and mapped databases are not safe there"},
	unix.FUSE_SUPER_MAGIC:      {"FUSE", "locks and mapped databases may not be safe there"},
}

// diskCheck is about the file system of the home, or of the nearest folder above
// that is there.
func diskCheck(dir string) api.Check {
	var s unix.Statfs_t
	at := dir
	err := unix.Statfs(at, &s)
	for errors.Is(err, unix.ENOENT) && at != "/" {
		at = filepath.Dir(at)
		err = unix.Statfs(at, &s)
	}
	if err != nil {
		return api.Check{Name: "disk", About: at, Status: api.Problem, Message: err.Error(), Next: "mend the path of the home"}
	}
	free, total := job.Bytes(s.Bavail)*job.Bytes(s.Bsize), job.Bytes(s.Blocks)*job.Bytes(s.Bsize)
	c := api.Check{Name: "disk", About: at, Status: api.OK, Message: fmt.Sprintf("%s free of %s", free.Rough(), total.Rough())}
	kind, bad := fileSystems[int64(s.Type)]
	switch {
	case s.Flags&unix.ST_RDONLY != 0:
		c.Status, c.Message, c.Next = api.Problem, "the file system is read-only", "mount it for writing, or give another folder with --home"
	case free < fullDisk:
		c.Status, c.Next = api.Problem, "make room: unpin and collect what is not needed, or move the home to a larger disk"
	case free < tightDisk:
		c.Status, c.Next = api.Warning, "make room, or move the home to a larger disk"
	case bad:
		c.Status, c.Message, c.Next = api.Warning, c.Message+", on "+kind.name+"; "+kind.why, "put the home on a disk of this machine with --home"
	}
	return c
}

// memoryCheck is whether jobs may use what is there.
func memoryCheck(cfg Config) api.Check {
	total, limit := machineMemory(), cgroupMemory()
	c := api.Check{Name: "memory", Status: api.OK, Message: fmt.Sprintf("jobs may use %s of %s; %s is available now", cfg.MaxMemory.Rough(), total.Rough(), availableMemory().Rough())}
	switch {
	case limit > 0 && cfg.MaxMemory > limit:
		c.Status, c.Message = api.Warning, fmt.Sprintf("jobs may use %s, and this process and its children are limited to %s by their cgroup", cfg.MaxMemory.Rough(), limit.Rough())
		c.Next = fmt.Sprintf("start the node with --max-memory %s or less", halfOf(limit))
	case cfg.MaxMemory > total:
		c.Status, c.Message = api.Warning, fmt.Sprintf("jobs may use %s, and the machine has %s", cfg.MaxMemory.Rough(), total.Rough())
		c.Next = fmt.Sprintf("start the node with --max-memory %s or less", halfOf(total))
	}
	return c
}

// halfOf is an amount that a flag takes.
func halfOf(n job.Bytes) job.Bytes { return n / 2 >> 20 << 20 }

// machineMemory is the machine's memory.
func machineMemory() job.Bytes {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 1 << 30 // what the smallest machine that is meant has
	}
	return job.Bytes(info.Totalram) * job.Bytes(info.Unit)
}

func availableMemory() job.Bytes {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemAvailable:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return job.Bytes(n) << 10
		}
	}
	return 0
}

// cgroupMemory is the least limit of the control groups (v2) that this process is
// in, 0 if there is none.
func cgroupMemory() (least job.Bytes) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		group, v2 := strings.CutPrefix(strings.TrimSpace(line), "0::")
		for at := group; v2 && at != "."; at = filepath.Dir(at) {
			if b, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", at, "memory.max")); err == nil {
				if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && (least == 0 || job.Bytes(n) < least) {
					least = job.Bytes(n)
				}
			}
			if at == "/" {
				break
			}
		}
	}
	return least
}

func openFilesCheck() api.Check {
	c := api.Check{Name: "files", Status: api.OK}
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		c.Status, c.Message = api.Warning, "the limit of open files cannot be read: "+err.Error()
		return c
	}
	c.Message = fmt.Sprintf("this account may have %d files and connections open in a process", l.Cur)
	if l.Cur < enoughOpen {
		c.Status, c.Next = api.Warning, fmt.Sprintf("raise it to %d or more (LimitNOFILE= in a systemd unit, or ulimit -n)", enoughOpen)
	}
	return c
}

// sandboxCheck is what confines guests beside the engine.
func sandboxCheck() api.Check {
	c := api.Check{Name: "sandbox", Status: api.OK}
	abi, err := landlock.LandlockGetABIVersion()
	if err != nil || abi < 1 {
		c.Status, c.Message = api.Warning, "this kernel has no Landlock: a guest that breaks its engine meets no second wall around files"
		c.Next = "use Linux 5.13 or newer with Landlock among its security modules (/sys/kernel/security/lsm), or run jobs of people you trust only"
		return c
	}
	c.Message = fmt.Sprintf("guests are confined by no_new_privs, resource limits and Landlock (ABI %d); system calls are not filtered", abi)
	return c
}

// dateCheck finds a clock that was never set, as small machines have after a power
// cut.
func dateCheck(now time.Time) api.Check {
	if now.Year() < 2025 {
		return api.Check{Name: "date", Status: api.Warning, Message: "this machine takes it to be " + now.UTC().Format(time.RFC3339), Next: "set its clock; until then join tokens do not expire as they should"}
	}
	return api.Check{Name: "date", Status: api.OK, Message: now.UTC().Format(time.RFC3339)}
}

// portCheck is whether a node could listen there.
func portCheck(name, at, flag string) api.Check {
	l, err := net.Listen(tcpOf(at), at)
	if err != nil {
		return api.Check{Name: name, About: at, Status: api.Problem, Message: "cannot listen there: " + err.Error(), Next: "end what uses it, or choose another with " + flag}
	}
	l.Close()
	return api.Check{Name: name, About: at, Status: api.OK, Message: "free"}
}
