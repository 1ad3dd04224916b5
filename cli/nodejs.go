package cli

import (
	"path/filepath"
	"slices"
	"strings"
)

// notNodeJS refuses what only makes sense to Node.js, whose program has the
// same name and may come later in PATH.
func (p *program) notNodeJS(args []string) error {
	if len(args) == 0 {
		return nil
	}
	first, _, _ := strings.Cut(args[0], "=")
	flags := []string{"-e", "--eval", "-p", "--print", "-pe", "-v", "--version", "-i", "--interactive", "-r", "--require", "-c", "--check", "--inspect", "--inspect-brk", "--test", "--watch", "--import"}
	scripts := []string{".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"}
	if !slices.Contains(flags, first) && !slices.Contains(scripts, filepath.Ext(args[0])) {
		return nil
	}
	return usage("this is Shoal, not Node.js, so it does not know what to do with %q. For Shoal's version: %s version. "+
		"For Node.js, call it by its path, or remove this program from PATH and use it under its other name, shoal", args[0], p.name)
}
