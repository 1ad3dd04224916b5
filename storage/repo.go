package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/filestore"
	"github.com/ipfs/boxo/keystore"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/mount"
	flatfs "github.com/ipfs/go-ds-flatfs"
	"github.com/ipfs/kubo/config"
	"github.com/ipfs/kubo/repo"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoal-mesh/shoal/durable"
)

// What lies in a store's folder. versionFile is written last, so its presence
// means that the rest is whole.
const (
	lockFile    = "lock"
	versionFile = "version"
	blocksDir   = "blocks" // flatfs: one file per block
	rootsDir    = "roots"  // flatfs: one file per root that is pinned; see roots
	// formatVersion grows when an older program could no longer read the folder,
	// or this one that of an older. 1 had its pins in a database.
	formatVersion = 2
	formatName    = "shoal-store"
)

// diskRepo is the repository that Kubo's parts work on: blocks and roots on this
// disk, and a configuration in memory. Kubo's own repository on disk (fsrepo)
// brings a configuration file that is migrated and edited by others, plug-ins
// and a set of environment variables; none of it is of use to a store whose
// configuration this package fixes, and each of them could change what the node
// talks to.
type diskRepo struct {
	dir    string
	conf   *config.Config
	data   repo.Datastore
	room   *room
	unlock *lock
}

var _ repo.Repo = (*diskRepo)(nil)

// openRepo opens the folder, making it if it is not there, and locks it. It
// never repairs, converts or deletes: what it cannot use is a FormatError.
func openRepo(dir string, conf *config.Config) (_ *diskRepo, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the store's folder: %w", err)
	}
	l, err := takeLock(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.release()
		}
	}()
	fresh, err := checkVersion(dir)
	if err != nil {
		return nil, err
	}
	blocks, err := openFiles(filepath.Join(dir, blocksDir), fresh)
	if err != nil {
		return nil, err
	}
	roots, err := openFiles(filepath.Join(dir, rootsDir), fresh)
	if err != nil {
		blocks.Close()
		return nil, err
	}
	space := newRoom(dir, blocks, roots)
	data := mount.New([]mount.Mount{
		{Prefix: blockstore.BlockPrefix, Datastore: blockFiles{blocks, space}},
		{Prefix: rootsPrefix, Datastore: roots},
	})
	if fresh {
		if err := durable.Replace(filepath.Join(dir, versionFile), []byte(versionLine()+"\n")); err != nil {
			data.Close()
			return nil, fmt.Errorf("founding the store at %s: %w", dir, err)
		}
	}
	return &diskRepo{dir: dir, conf: conf, data: data, room: space, unlock: l}, nil
}

// checkVersion reports whether the store is still to be founded.
func checkVersion(dir string) (fresh bool, err error) {
	file := filepath.Join(dir, versionFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return true, checkUnused(dir)
	}
	if err != nil {
		return false, fmt.Errorf("reading the store's version: %w", err)
	}
	name, number, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	version, err := strconv.Atoi(number)
	switch {
	case name != formatName || err != nil || version < 1:
		return false, &FormatError{file, fmt.Sprintf("the file should read %q; restore it from a backup, or move the folder away to begin with an empty store", versionLine())}
	case version > formatVersion:
		return false, &FormatError{file, fmt.Sprintf("it has format %d, written by a newer program, and this one knows up to %d; update this node", version, formatVersion)}
	case version < formatVersion:
		return false, &FormatError{file, fmt.Sprintf("it has format %d, of a program older than the first release, and this one reads %d; take what you need out with the node that wrote it (node get), move the folder away and add it again", version, formatVersion)}
	}
	return false, nil
}

// checkUnused tells a folder in which nothing was stored yet, perhaps because
// founding it was cut short, from a store that lost its version file.
func checkUnused(dir string) error {
	entries, err := os.ReadDir(filepath.Join(dir, blocksDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking into the store's folder: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			return &FormatError{filepath.Join(dir, versionFile), fmt.Sprintf("the file is missing beside stored blocks; if they are Shoal's, write %q into it, else choose another folder", versionLine())}
		}
	}
	return nil
}

func versionLine() string { return fmt.Sprintf("%s %d", formatName, formatVersion) }

// openFiles opens a folder of flatfs, which has a file for each key, put there by
// renaming and synced before it counts as written: a result that was reported
// must outlive a power cut. What cannot be written, as the disk is full, leaves
// nothing and hurts nothing that is there, and a file is removed even then.
func openFiles(dir string, fresh bool) (*flatfs.Datastore, error) {
	open := func() (*flatfs.Datastore, error) { return flatfs.Open(dir, true) }
	if fresh {
		open = func() (*flatfs.Datastore, error) { return flatfs.CreateOrOpen(dir, shards, true) }
	}
	d, err := open()
	if err != nil {
		return nil, &FormatError{dir, err.Error()}
	}
	return d, nil
}

// shards says in which folder a file lies: that of the two letters before the
// last of its name.
var shards = flatfs.NextToLast(2)

func (r *diskRepo) Config() (*config.Config, error)     { return r.conf, nil }
func (r *diskRepo) Path() string                        { return r.dir }
func (r *diskRepo) Datastore() repo.Datastore           { return r.data }
func (r *diskRepo) Keystore() keystore.Keystore         { return keystore.NewMemKeystore() }
func (r *diskRepo) FileManager() *filestore.FileManager { return nil }
func (r *diskRepo) SwarmKey() ([]byte, error)           { return nil, nil } // the caller's host has it
func (r *diskRepo) SetAPIAddr(ma.Multiaddr) error       { return nil }
func (r *diskRepo) SetGatewayAddr(net.Addr) error       { return nil }

func (r *diskRepo) UserResourceOverrides() (rcmgr.PartialLimitConfig, error) {
	return rcmgr.PartialLimitConfig{}, nil
}

func (r *diskRepo) GetStorageUsage(ctx context.Context) (uint64, error) {
	return datastore.DiskUsage(ctx, r.data)
}

// The configuration is this program's, not the folder's.
var errFixed = errors.New("the store's configuration cannot be changed")

func (r *diskRepo) BackupConfig(string) (string, error) { return "", errFixed }
func (r *diskRepo) SetConfig(*config.Config) error      { return errFixed }
func (r *diskRepo) SetConfigKey(string, any) error      { return errFixed }
func (r *diskRepo) GetConfigKey(string) (any, error)    { return nil, errFixed }

// Close flushes and closes the data and then lets go of the folder.
func (r *diskRepo) Close() error { return errors.Join(r.data.Close(), r.unlock.release()) }
