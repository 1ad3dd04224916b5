// Does with files what Go programs do, in /out, and reads /in. Prints what went
// wrong, or "all well".
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

var wrong bool

func want(what string, ok bool, err error) {
	if !ok || err != nil {
		wrong = true
		fmt.Printf("%s: %v %v\n", what, ok, err)
	}
}

func wantErr(what string, err, target error) {
	want(fmt.Sprintf("%s: %v, want %v", what, err, target), errors.Is(err, target), nil)
}

func main() {
	inputs()
	files()
	folders()
	links()
	rest()
	if wrong {
		os.Exit(1)
	}
	fmt.Println("all well")
}

func inputs() {
	b, err := os.ReadFile("/in/log")
	want("read a single file", string(b) == "one file\n", err)
	var seen []string
	err = filepath.WalkDir("/", func(path string, d fs.DirEntry, err error) error {
		seen = append(seen, path)
		return err
	})
	all := []string{"/", "/in", "/in/log", "/in/set", "/in/set/a", "/in/set/sub", "/in/set/sub/b", "/out"}
	want(fmt.Sprint("walk ", seen), slices.Equal(seen, all), err)
	_, err = os.Create("/in/set/new")
	wantErr("create in an input", err, syscall.EROFS)
	_, err = os.OpenFile("/in/log", os.O_RDWR, 0)
	wantErr("open an input to write", err, syscall.EROFS)
	wantErr("remove an input", os.Remove("/in/set/a"), syscall.EROFS)
	wantErr("truncate an input", os.Truncate("/in/set/a", 0), syscall.EROFS)
	_, err = os.Create("/new")
	wantErr("create outside", err, syscall.EROFS)
	_, err = os.Stat("/etc/passwd")
	wantErr("stat outside", err, fs.ErrNotExist)
	_, err = os.ReadFile("/in/set/../log")
	want("up and over", true, err)
}

func files() {
	f, err := os.OpenFile("/out/f", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	want("create", true, err)
	fmt.Fprint(f, "0123456789")
	at, err := f.Seek(-4, io.SeekEnd)
	want("seek", at == 6, err)
	b, err := io.ReadAll(f)
	want("read", string(b) == "6789", err)
	_, err = f.WriteAt([]byte("ab"), 1)
	want("write at", true, err)
	_, err = f.ReadAt(b[:3], 0)
	want("read at", string(b[:3]) == "0ab", err)
	want("truncate", true, f.Truncate(5))
	fi, err := f.Stat()
	want("stat", fi.Size() == 5 && fi.Mode().IsRegular(), err)
	want("sync", true, f.Sync())
	want("close", true, f.Close())
	_, err = os.OpenFile("/out/f", os.O_CREATE|os.O_EXCL, 0o644)
	wantErr("create again", err, fs.ErrExist)
	f, err = os.OpenFile("/out/f", os.O_APPEND|os.O_WRONLY, 0)
	want("append", true, err)
	fmt.Fprint(f, "!")
	f.Close()
	b, err = os.ReadFile("/out/f")
	want("read back", string(b) == "0ab34!", err)
	want("rename", true, os.Rename("/out/f", "/out/g"))
	_, err = os.Open("/out/f")
	wantErr("open the old name", err, fs.ErrNotExist)
	wantErr("rename into an input", os.Rename("/out/g", "/in/set/g"), syscall.EROFS)
	want("remove", true, os.Remove("/out/g"))
}

func folders() {
	want("mkdir all", true, os.MkdirAll("/out/a/b/c", 0o755))
	for i := range 300 {
		want("write", true, os.WriteFile(fmt.Sprintf("/out/a/b/%03d", i), []byte{byte(i)}, 0o644))
	}
	list, err := os.ReadDir("/out/a/b")
	want("read dir", len(list) == 301 && list[299].Name() == "299" && list[300].IsDir(), err)
	want("rename a folder", true, os.Rename("/out/a/b", "/out/b"))
	wantErr("remove a full one", os.Remove("/out/b"), syscall.ENOTEMPTY)
	want("remove all", true, os.RemoveAll("/out/b"))
	want("chdir", true, os.Chdir("/out"))
	want("write here", true, os.WriteFile("a/here", nil, 0o644))
	list, err = os.ReadDir(".")
	want("read here", len(list) == 1 && list[0].Name() == "a", err)
	list, err = os.ReadDir("/")
	want("read the top", len(list) == 2, err)
	root, err := os.OpenRoot("/out/a")
	want("open root", true, err)
	_, err = root.Stat("here")
	want("stat in root", true, err)
	want("remove all", true, os.RemoveAll("/out/a"))
}

func links() {
	want("write", true, os.WriteFile("/out/x", []byte("x"), 0o644))
	want("symlink", true, os.Symlink("x", "/out/l"))
	to, err := os.Readlink("/out/l")
	want("readlink", to == "x", err)
	b, err := os.ReadFile("/out/l")
	want("read through", string(b) == "x", err)
	fi, err := os.Lstat("/out/l")
	want("lstat", fi.Mode()&fs.ModeSymlink != 0, err)
	want("link", true, os.Link("/out/x", "/out/h"))
	when := time.Unix(1234567890, 123456789)
	want("chtimes", true, os.Chtimes("/out/h", when, when))
	fi, err = os.Stat("/out/x")
	want("stat", fi.ModTime().Equal(when), err)
	for _, name := range []string{"x", "l", "h"} {
		want("remove", true, os.Remove("/out/"+name))
	}
}

func rest() {
	want("args", slices.Equal(os.Args[1:], []string{"one", "two words"}), nil)
	want("env", os.Getenv("NAME") == "value" && len(os.Environ()) == 1, nil)
	b, err := io.ReadAll(os.Stdin)
	want("stdin", len(b) == 0, err)
	began := time.Now()
	done := make(chan bool)
	go func() { time.Sleep(20 * time.Millisecond); done <- true }()
	<-done
	want("sleep", time.Since(began) >= 20*time.Millisecond, nil)
	want("clock", began.Year() >= 2024, nil)
	b = make([]byte, 16)
	n, err := rand.Read(b)
	want("random", n == 16 && !slices.Equal(b, make([]byte, 16)), err)
}
