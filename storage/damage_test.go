package storage

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// damaged is a peer with a file of three blocks, of which the last is damaged,
// and the file of that.
func damaged(t *testing.T) (p *aPeer, root, block string, content []byte) {
	p = newPeer(t)
	content = make([]byte, 3<<20)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	root = mustPut(t, p.Store, write(t, filepath.Join(t.TempDir(), "book"), string(content)))
	last := mustPut(t, p.Store, write(t, filepath.Join(t.TempDir(), "last"), string(content[2<<20:])))
	block = p.blockFile(t, last)
	write(t, block, "rotten")
	return p, root, block, content
}

func TestDamagedBlockIsFetchedAgain(t *testing.T) {
	for name, read := range map[string]func(p *aPeer, root string) ([]byte, error){
		"cat": func(p *aPeer, root string) ([]byte, error) {
			var out bytes.Buffer
			err := p.Cat(t.Context(), root, &out)
			return out.Bytes(), err
		},
		"tar": func(p *aPeer, root string) ([]byte, error) {
			var out bytes.Buffer
			err := p.Tar(t.Context(), root, &out)
			return out.Bytes()[min(out.Len(), 512):], err
		},
		"fetch": func(p *aPeer, root string) ([]byte, error) {
			dst := filepath.Join(t.TempDir(), "out")
			if err := p.Fetch(t.Context(), root, dst); err != nil {
				return nil, err
			}
			return os.ReadFile(dst)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, root, block, content := damaged(t)
			other := newPeer(t)
			mustPut(t, other.Store, write(t, filepath.Join(t.TempDir(), "book"), string(content)))
			connect(t, p, other)
			got, err := read(p, root)
			if err != nil || !bytes.HasPrefix(got, content) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if now, err := os.ReadFile(block); err != nil || !bytes.Equal(now, content[2<<20:]) {
				t.Errorf("the file still holds %d bytes, %v", len(now), err)
			}
		})
	}
}

// The root itself is damaged, or a block with links: these are read on the way in.
func TestDamagedRootIsFetchedAgain(t *testing.T) {
	p, root, _, content := damaged(t)
	other := newPeer(t)
	mustPut(t, other.Store, write(t, filepath.Join(t.TempDir(), "book"), string(content)))
	write(t, p.blockFile(t, root), "rotten")
	connect(t, p, other)
	if got := fetched(t, p.Store, root); got != string(content) {
		t.Errorf("got %d bytes", len(got))
	}
}

func TestDamageThatNobodyMendsIsNamed(t *testing.T) {
	p, root, block, content := damaged(t)
	p.patience = testPatience
	dir := t.TempDir()
	for range 2 {
		err := p.Fetch(t.Context(), root, filepath.Join(dir, "out"))
		var missing *NotFoundError
		if !errors.As(err, &missing) || !strings.Contains(err.Error(), "damaged on this disk (file "+block+")") || !strings.Contains(err.Error(), root) {
			t.Errorf("the error is %v", err)
		}
	}
	isEmpty(t, dir)
	if data, err := os.ReadFile(block); err != nil || string(data) != "rotten" {
		t.Errorf("the damaged file is gone, or another: %q, %v", data, err)
	}
	// With the content at hand again, it is mended by adding it.
	mustPut(t, p.Store, write(t, filepath.Join(t.TempDir(), "book"), string(content)))
	if got := fetched(t, p.Store, root); got != string(content) {
		t.Errorf("got %d bytes", len(got))
	}
}

// A root whose links cannot be read keeps nobody knows what.
func TestCollectorStopsAtDamage(t *testing.T) {
	p, root, _, _ := damaged(t)
	dir := filepath.Join(t.TempDir(), "folder")
	write(t, filepath.Join(dir, "x"), "x")
	folder := mustPut(t, p.Store, dir)
	file := p.blockFile(t, folder)
	write(t, file, "rotten")
	if _, err := p.Unpin(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	before := p.onDisk(t)
	_, err := p.Collect(t.Context(), false)
	if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "node pin rm "+folder) {
		t.Errorf("the error is %v", err)
	}
	if after := p.onDisk(t); len(after) != len(before) {
		t.Errorf("%d files, %d before", len(after), len(before))
	}
	if _, err := p.Unpin(t.Context(), folder); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Collect(t.Context(), false); err != nil || got.Blocks == 0 {
		t.Errorf("without it: %v, %v", got, err)
	}
}
