package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/ipfs/go-cid"
)

// served is what peers get from this store over a stream of blocks: the files as
// they lie on the disk. The peer that receives a block hashes it, so it is not
// hashed here a second time, and is never in memory as a whole.
type served struct{ store *Store }

// Open opens the file of a block: its name is base32, so that nothing in it leads
// elsewhere.
func (s served) Open(c cid.Cid) (*os.File, error) {
	d := s.store.kubo.damage
	if d.is(c) {
		return nil, fmt.Errorf("block %s is damaged: %w", c, fs.ErrNotExist)
	}
	f, err := os.OpenFile(d.file(c), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENAMETOOLONG) { // a hash that no stored block has
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return f, err
}

// Suspect looks at a block that a peer found damaged. If it is, nobody is given
// it any more; see damage.
func (s served) Suspect(ctx context.Context, c cid.Cid) {
	_, _ = s.store.kubo.blocks.Get(ctx, c)
}
