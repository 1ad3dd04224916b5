package wasm

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// unpack puts the embedded runner into a folder of bin that is named by what is
// in it, unless it is there already, whole and unchanged. It removes those of
// other versions.
func unpack(files fs.FS, bin string) (string, error) {
	dir, err := unpacked(files, bin)
	if err != nil {
		return "", err
	}
	list, err := os.ReadDir(bin)
	if err != nil {
		return "", err
	}
	for _, d := range list {
		if old := d.Name(); d.IsDir() && old != filepath.Base(dir) && isUnpacked(old) {
			_ = os.RemoveAll(filepath.Join(bin, old)) // what stays takes room, and does no harm
		}
	}
	return dir, nil
}

const unpackMark = ".unpack-" // begins the names of unfinished folders

// isUnpacked tells whether a folder in bin is one that unpack makes.
func isUnpacked(name string) bool {
	sum, err := hex.DecodeString(name)
	return strings.HasPrefix(name, unpackMark) || err == nil && len(sum) == sumSize
}

// sumSize is how much of the sum of the sums names a folder, in bytes.
const sumSize = 8

func unpacked(files fs.FS, bin string) (string, error) {
	list, err := fs.ReadFile(files, "embedded/SHA256SUMS")
	if err != nil {
		return "", err
	}
	name := sha256.Sum256(list)
	dir := filepath.Join(bin, hex.EncodeToString(name[:sumSize]))
	err = checkSums(dir, list)
	if err == nil {
		return dir, nil
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errSum) {
		return "", err
	}
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(bin, unpackMark)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	for _, name := range []string{runnerFile, libraryFile} {
		if err := unpackFile(filepath.Join(work, name), files, "embedded/"+name+".gz"); err != nil {
			return "", fmt.Errorf("unpacking %s: %w", name, err)
		}
	}
	if err := checkSums(work, list); err != nil {
		return "", err
	}
	if err := os.RemoveAll(dir); err != nil { // damaged, or not there
		return "", err
	}
	return dir, os.Rename(work, dir)
}

func unpackFile(to string, files fs.FS, from string) error {
	b, err := fs.ReadFile(files, from)
	if err != nil {
		return err
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, z)
	return errors.Join(err, f.Sync(), f.Close())
}

var errSum = errors.New("its sum is wrong")

// checkSums compares files of dir with a list as sha256sum writes it.
func checkSums(dir string, list []byte) error {
	for line := range strings.Lines(string(list)) {
		want, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok || filepath.Base(name) != name {
			return fmt.Errorf("the list of sums has a line that is none: %q", line)
		}
		sum, err := sumFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if sum != want {
			return fmt.Errorf("%s: %w", filepath.Join(dir, name), errSum)
		}
	}
	return nil
}
