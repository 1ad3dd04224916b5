package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/node/api/sign"
)

const (
	anna = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"
	ben  = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
)

func keyOf(t *testing.T, text string) sign.Key {
	t.Helper()
	k, err := sign.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestListCountsAsItIsNow(t *testing.T) {
	file := AuthorizedPath(t.TempDir())
	a := &authorized{file: file, log: zap.NewNop()}
	lets := func(who string, want bool) {
		t.Helper()
		err := a.allow(keyOf(t, who))
		if want != (err == nil) || !want && api.CodeOf(err) != api.CodeForbidden {
			t.Errorf("%s: %v", who, err)
		}
		if !want && err != nil && !strings.Contains(err.Error(), "node key authorize "+who) {
			t.Errorf("it does not say what to do: %v", err)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lets(anna, false)
	write("# who may\r\n\r\n  " + anna + "\tlaptop of anna # home\r\n" + ben)
	lets(anna, true)
	lets(ben, true)
	write("#" + anna + "\n" + ben + " ben\n") // in place, and of the same moment perhaps
	lets(anna, false)
	lets(ben, true)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	lets(ben, false)
}

// A slip locks out no one else, is named with its line, and once.
func TestFaultsInTheList(t *testing.T) {
	core, logged := observer.New(zap.DebugLevel)
	file := AuthorizedPath(t.TempDir())
	text := "\ufeff" + anna + "\n" + ben[:50] + " ben\nssh-ed25519 AAAAC3Nz anna@laptop\n" + anna + "," + ben + "\n\x00\xff\nsubmit " + ben + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &authorized{file: file, log: zap.New(core)}
	for range 3 {
		if err := a.allow(keyOf(t, anna)); err != nil {
			t.Fatal(err)
		}
		if a.allow(keyOf(t, ben)) == nil {
			t.Error("a line that cannot be read lets its key in")
		}
	}
	var lines []string
	for _, e := range logged.All() {
		lines = append(lines, e.ContextMap()["error"].(string))
	}
	got := strings.Join(lines, "\n")
	for _, want := range []string{file + ":2: it is no key", file + ":3: it is a key for ssh", file + ":4: ", file + ":5: ", file + ":6: "} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q is not there once in\n%s", want, got)
		}
	}
}

// A list that others can write would make each of them the node's owner.
func TestListThatOthersCanWrite(t *testing.T) {
	dir := t.TempDir()
	file := AuthorizedPath(dir)
	a := &authorized{file: file, log: zap.NewNop()}
	refused := func(name, says string) {
		t.Helper()
		err := a.allow(keyOf(t, anna))
		if err == nil || api.CodeOf(err) != api.CodeInternal || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for mode, good := range map[os.FileMode]bool{0o600: true, 0o644: true, 0o664: false, 0o602: false, 0o666: false} {
		if err := os.WriteFile(file, []byte(anna), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if !good {
			refused(mode.String(), "chmod go-w")
		} else if err := a.allow(keyOf(t, anna)); err != nil {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	if os.Geteuid() == 0 { // nobody else can give files away
		if err := os.Chown(file, 12345, -1); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
		refused("owner", "belongs to the user 12345")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Repeat("#\n", maxAuthorized)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("huge", "longer than")
	for name, make := range map[string]func() error{
		"folder": func() error { return os.Mkdir(file, 0o700) },
		"pipe":   func() error { return unix.Mkfifo(file, 0o600) },
	} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := make(); err != nil {
			t.Fatal(err)
		}
		refused(name, "is no file")
	}
}

func TestAuthorize(t *testing.T) {
	dir := t.TempDir()
	file := AuthorizedPath(dir)
	add := func(who, name string, before bool) {
		t.Helper()
		already, err := Authorize(dir, Authorized{keyOf(t, who), name})
		if err != nil || already != before {
			t.Errorf("%s: already %v, %v", name, already, err)
		}
	}
	add(anna, "anna@laptop", false)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	add(anna, "again", true)
	if err := os.WriteFile(file, []byte("# mine\n"+anna), 0o640); err != nil { // no newline at the end
		t.Fatal(err)
	}
	add(ben, "", false)
	if got, _ := os.ReadFile(file); string(got) != "# mine\n"+anna+"\n"+ben+"\n" {
		t.Errorf("got %q", got)
	}
	keys, faults, err := ListAuthorized(dir)
	if err != nil || len(faults) > 0 || len(keys) != 2 || keys[1].Key != keyOf(t, ben) {
		t.Errorf("got %v, %v, %v", keys, faults, err)
	}
	if _, err := Authorize(dir, Authorized{keyOf(t, ben), "two\nlines"}); err == nil {
		t.Error("a name of two lines is taken")
	}
	for _, f := range []func(string) error{
		func(d string) error { _, err := Authorize(d, Authorized{Key: keyOf(t, ben)}); return err },
		func(d string) error { _, _, err := ListAuthorized(d); return err },
	} {
		if err := f(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "--home") {
			t.Errorf("no home: %v", err)
		}
	}
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Authorize(dir, Authorized{Key: keyOf(t, ben)}); err == nil {
		t.Error("a list that anybody can write is added to")
	}
	// What root lists is for the node's user to read.
	if os.Geteuid() == 0 {
		theirs := t.TempDir()
		if err := os.Chown(theirs, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		if _, err := Authorize(theirs, Authorized{Key: keyOf(t, anna)}); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(AuthorizedPath(theirs), &st); err != nil || st.Uid != 12345 {
			t.Errorf("it belongs to %d, %v", st.Uid, err)
		}
		if _, err := Authorize(theirs, Authorized{Key: keyOf(t, ben)}); err != nil {
			t.Error(err)
		}
	}
	// Nobody leads root astray with a link.
	other := t.TempDir()
	if err := os.Symlink(file, AuthorizedPath(other)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	k := keyOf(t, anna)
	k[0]++
	if _, err := Authorize(other, Authorized{Key: k}); err == nil {
		t.Error("a link is followed")
	}
}
