package wasm

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/shoal-mesh/shoal/executor"
)

// maxNested is how deep in its workspace an engine's file may be, in folders.
const maxNested = 3

// workspace is a new folder for a compiler. What is in it afterwards is what
// hostile code wants to be there, if the compiler fell to its module: see copyCode.
func (c *cache) workspace() (string, error) { return os.MkdirTemp(c.dir, workspaceMark) }

// copyCode copies the one file in a workspace to where it is in the same layout
// below a folder that no child can write to, and returns the sum of the copy.
// Links, pipes and anything more than the one file are refused, and nothing that
// changes meanwhile leads out of the workspace or holds this process up.
func copyCode(workspace, to string) (sum string, err error) {
	root, err := os.OpenRoot(workspace)
	if err != nil {
		return "", err
	}
	defer root.Close()
	name, err := theFile(root)
	if err != nil {
		return "", err
	}
	from, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer from.Close()
	fi, err := from.Stat()
	if err != nil {
		return "", err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); !fi.Mode().IsRegular() || !ok || st.Nlink != 1 {
		return "", fmt.Errorf("%s is no plain file with one name", said(name))
	}
	path := filepath.Join(to, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	h := sha256.New()
	if err := create(path, func(f *os.File) error {
		_, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(from, fi.Size()))
		return err
	}); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// create makes a file that is not there yet, with what write writes.
func create(path string, write func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// theFile is the one file that an engine left in a folder, which may be in
// folders of its own. Nothing is followed, nor opened that is no folder.
func theFile(root *os.Root) (string, error) {
	path := "."
	for range maxNested + 1 {
		f, err := root.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
		if err != nil {
			return "", err
		}
		list, err := f.ReadDir(2)
		f.Close()
		switch {
		case errors.Is(err, io.EOF):
			return "", fmt.Errorf("%s is empty", said(path))
		case err != nil:
			return "", err
		case len(list) > 1:
			return "", fmt.Errorf("%s holds more than one file", said(path))
		}
		path = filepath.Join(path, list[0].Name())
		switch {
		case list[0].Type().IsRegular():
			return path, nil
		case !list[0].IsDir():
			return "", fmt.Errorf("%s is no plain file", said(path))
		}
	}
	return "", fmt.Errorf("%s is nested too deep", said(path))
}

// said is a word of a child's, for an error.
func said(s string) string { return fmt.Sprintf("%q", executor.Text(s, 200)) }
