package node

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/node/api/sign"
)

// maxAuthorized bounds the list of clients, in bytes: ten thousand of them. It is
// read anew for each request.
const maxAuthorized = 1 << 20

// AuthorizedPath is the list of the clients that may ask the node of a home over
// TCP. It is a text file as ssh has one: a line for each key, which may have a
// comment behind it; blank lines and those that begin with # say nothing.
func AuthorizedPath(dir string) string { return filepath.Join(dir, "authorized_keys") }

// Authorized is a key that is listed.
type Authorized struct {
	Key  sign.Key `json:"key"`
	Name string   `json:"name,omitempty"` // the comment
}

// authorized lets the clients in that are listed.
type authorized struct {
	file string
	log  *zap.Logger

	mu   sync.Mutex
	sum  [sha256.Size]byte // of the text that keys are from
	keys []Authorized
}

// allow lets a client in whose key is in the list as it is now.
func (a *authorized) allow(key sign.Key) error {
	text, err := readAuthorized(a.file, os.Geteuid())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if slices.ContainsFunc(a.parse(text), func(k Authorized) bool { return k.Key == key }) {
		return nil
	}
	return api.Errorf(api.CodeForbidden, "this node does not list your key. To let you in, its operator runs there: node key authorize %s", key)
}

// parse is parseAuthorized, which logs the faults of each text once.
func (a *authorized) parse(text []byte) []Authorized {
	sum := sha256.Sum256(text)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sum == sum {
		return a.keys
	}
	keys, faults := parseAuthorized(text, a.file)
	a.sum, a.keys = sum, keys
	for _, err := range faults {
		a.log.Warn("a line in the list of clients is left out; the others count", zap.Error(err))
	}
	return keys
}

// readAuthorized reads a list that nobody but owner or root can have written:
// whoever can write it can do what they like with the node.
func readAuthorized(path string, owner int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("read the list of clients: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the list of clients: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, fmt.Errorf("look at the list of clients %s: %w", path, err)
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, fmt.Errorf("the list of clients %s is no file, so nobody is let in: move it away", path)
	case mode.Perm()&0o022 != 0:
		return nil, fmt.Errorf("the list of clients %s has mode %#o, so that others can write it, and nobody is let in: if what it says is right, run: chmod go-w %s", path, mode.Perm(), path)
	case st.Uid != 0 && int(st.Uid) != owner:
		return nil, fmt.Errorf("the list of clients %s belongs to the user %d and not to the node's, so nobody is let in: if what it says is right, run: chown %d %s", path, st.Uid, owner, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxAuthorized+1))
	if err != nil {
		return nil, fmt.Errorf("read the list of clients %s: %w", path, err)
	}
	if len(text) > maxAuthorized {
		return nil, fmt.Errorf("the list of clients %s is longer than %d bytes, so nobody is let in: take lines out", path, maxAuthorized)
	}
	return text, nil
}

// parseAuthorized reads a list. What cannot be read of it has an error each, which
// names the line, and takes nothing from the other lines: a slip in an editor
// must lock out no one else, and a line that cannot be read lets nobody in.
func parseAuthorized(text []byte, file string) (keys []Authorized, faults []error) {
	n := 0
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		n++
		words := strings.Fields(string(line))
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		k, err := sign.ParseKey(words[0])
		if err != nil {
			if strings.HasPrefix(words[0], "ssh-") {
				err = errors.New("it is a key for ssh; `node key show` at the client prints the line that belongs here")
			}
			faults = append(faults, fmt.Errorf("%s:%d: %w", file, n, err))
			continue
		}
		keys = append(keys, Authorized{k, strings.Join(words[1:], " ")})
	}
	return keys, faults
}

// ListAuthorized is who is listed in the home of a node, and what cannot be read
// of the list.
func ListAuthorized(dir string) (keys []Authorized, faults []error, err error) {
	var home unix.Stat_t
	if err := unix.Stat(dir, &home); err != nil {
		return nil, nil, noHome(dir, err)
	}
	text, err := readAuthorized(AuthorizedPath(dir), int(home.Uid))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	keys, faults = parseAuthorized(text, AuthorizedPath(dir))
	return keys, faults, err
}

func noHome(dir string, err error) error {
	return fmt.Errorf("look at the node's home %s: %w; `node serve` makes it, and --home names another", dir, err)
}

// Authorize lists a client in the home of a node, which may run meanwhile: it
// counts from the next request on. It says whether the key was there already.
func Authorize(dir string, a Authorized) (already bool, err error) {
	if strings.ContainsFunc(a.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return false, errors.New("the name of a client is one line")
	}
	var home unix.Stat_t
	if err := unix.Stat(dir, &home); err != nil {
		return false, noHome(dir, err)
	}
	path := AuthorizedPath(dir)
	text, err := readAuthorized(path, int(home.Uid))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	keys, _ := parseAuthorized(text, path)
	for _, k := range keys {
		if k.Key == a.Key {
			return true, nil
		}
	}
	line := strings.TrimSpace(a.Key.String()+" "+a.Name) + "\n"
	if len(text) > 0 && text[len(text)-1] != '\n' {
		line = "\n" + line
	}
	return false, appendTo(path, line, int(home.Uid))
}

// appendTo adds to the end of a file in one write. One that is not there is made
// with mode 0600, for owner: root may list a client for the node of another user,
// who must not be able to point root elsewhere with a link.
func appendTo(path, line string, owner int) error {
	const flags = os.O_WRONLY | os.O_APPEND | unix.O_NOFOLLOW
	f, err := os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil && owner != os.Geteuid():
		err = f.Chown(owner, -1)
	case errors.Is(err, fs.ErrExist):
		f, err = os.OpenFile(path, flags, 0)
	}
	if err != nil {
		return fmt.Errorf("write the list of clients: %w", err)
	}
	_, err = f.WriteString(line)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the list of clients %s: %w", path, err)
	}
	return nil
}
