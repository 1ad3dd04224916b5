package storage

import (
	"context"
	"fmt"
	"math"

	flatfs "github.com/ipfs/go-ds-flatfs"
	ipld "github.com/ipfs/go-ipld-format"
	"golang.org/x/sys/unix"
)

// How a store lives within its room.
const (
	// defaultShare of what the disk could give the store, which is what it uses and
	// what is free, is the limit where none is set: that of when it was opened, or
	// that of now if the disk has got more room since. Small machines have one disk
	// for everything, and nobody looks after it: the store must not be what fills
	// it. Kubo's 10 GB without a collector is too much for one and too little for
	// another.
	defaultShare = 0.8
	// highWater of the limit is where collecting begins, and lowWater where it
	// ends: what was fetched is a cache for the next job that asks for it.
	highWater, lowWater = 0.9, 0.75
	// A part of the disk, but at most spareMost bytes, is left free whatever the
	// limit says: the ledger of jobs and the work of running ones are there too.
	spareShare = 0.02
	spareMost  = 1 << 30
)

// room knows how much there is and how much there may be. It is safe for
// concurrent use. It is asked before each write, so that several at a time go
// beyond it by what they write, at most 8 MiB each.
type room struct {
	set   int64         // the limit that was set, or 0 for the default
	least int64         // of the default: what it was when the store was opened
	used  func() int64  // bytes of blocks and roots
	disk  diskSpace     // of the disk that holds them
	full  chan struct{} // has something when it is time to collect
}

// diskSpace says how many bytes of a disk are free, and how many there are in all.
type diskSpace func() (free, total int64, _ error)

// diskOf is the disk that a folder is on.
func diskOf(dir string) diskSpace {
	return func() (free, total int64, _ error) {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			return 0, 0, fmt.Errorf("asking how much is free on the disk of %s: %w", dir, err)
		}
		return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
	}
}

// spareOf is what is left free of a disk.
func spareOf(total int64) int64 { return min(int64(float64(total)*spareShare), spareMost) }

func newRoom(dir string, files ...*flatfs.Datastore) *room {
	return &room{
		set: math.MaxInt64,
		used: func() (n int64) {
			for _, f := range files {
				du, _ := f.DiskUsage(context.Background()) // reads a number in memory
				n += int64(du)
			}
			return n
		},
		disk: diskOf(dir),
		full: make(chan struct{}, 1),
	}
}

// setLimit sets the limit, or the default if it is 0.
func (r *room) setLimit(limit int64) error {
	free, _, err := r.disk()
	if limit == 0 && err != nil {
		return err
	}
	r.set, r.least = limit, r.share(free)
	return nil
}

// share is the default limit with so many bytes free.
func (r *room) share(free int64) int64 { return int64(float64(r.used()+free) * defaultShare) }

// limit is how many bytes the store may take.
func (r *room) limit() int64 {
	if r.set != 0 {
		return r.set
	}
	free, _, err := r.disk()
	if err != nil {
		return r.least
	}
	return max(r.least, r.share(free))
}

// beyond is by how many bytes need more would be too many; with 0 or less there
// is room. disk tells that it is the disk that lacks them, and not the limit,
// or not a limit that anybody set.
func (r *room) beyond(need int64) (over int64, disk bool) {
	need = min(need, math.MaxInt64/4)
	over = r.used() - r.limit() + need
	free, total, err := r.disk()
	if err != nil {
		return over, false // the write will tell
	}
	lack := need + spareOf(total) - free
	if lack > over || lack > 0 && r.set == 0 {
		return max(over, lack), true
	}
	return over, false
}

// check refuses a write of need bytes that is beyond the room, and wakes the
// collector when it is nearly full.
func (r *room) check(need int64) error {
	over, _ := r.beyond(need)
	if over > -int64(float64(r.limit())*(1-highWater)) {
		signal(r.full)
	}
	if over > 0 {
		return r.refusal(need)
	}
	return nil
}

func (r *room) refusal(need int64) *FullError {
	_, disk := r.beyond(need)
	free, _, _ := r.disk()
	return &FullError{Need: need, Used: r.used(), Limit: r.limit(), Free: free, Disk: disk}
}

// outside refuses to write need bytes beside the store, to a disk that would have
// less left free then than the store leaves of its own.
func (r *room) outside(disk diskSpace, need int64) error {
	free, total, err := disk()
	if err != nil || free-spareOf(total) >= need {
		return nil // the write will tell
	}
	return &FullError{Need: need, Used: r.used(), Limit: r.limit(), Free: free, Disk: true}
}

// makeRoom makes sure that need bytes can be written, by collecting garbage if
// it must. If there is still no room, that is a FullError.
func (s *Store) makeRoom(ctx context.Context, need int64) error {
	room := s.repo.room
	over, _ := room.beyond(need)
	if over <= 0 {
		return nil
	}
	low := room.used() + need - int64(float64(room.limit())*lowWater)
	if _, err := s.collect(ctx, max(over, low), false); err != nil {
		return fmt.Errorf("making room: %w", err)
	}
	if over, _ := room.beyond(need); over > 0 {
		return room.refusal(need)
	}
	return nil
}

// makeRoomFor makes sure that what is missing of a tree can be written. Sizes
// are as the tree claims; what is written is measured again.
func (s *Store) makeRoomFor(ctx context.Context, nd ipld.Node, held *hold) error {
	if over, _ := s.repo.room.beyond(sizeOf(nd)); over <= 0 {
		return nil
	}
	missing, todo := int64(0), []ipld.Node{nd}
	for len(todo) > 0 {
		nd := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, l := range nd.Links() {
			if !held.claim(l.Cid) {
				continue // seen
			}
			here, err := s.kubo.blocks.Has(ctx, l.Cid)
			if err != nil {
				return err
			}
			if !here {
				missing += clamp(l.Size)
				missing = min(max(missing, 0), math.MaxInt64/2)
				continue
			}
			if isRaw(l.Cid) {
				continue
			}
			child, err := s.kubo.local.Get(ctx, l.Cid)
			if err != nil {
				if ipld.IsNotFound(err) { // damaged: it will be fetched
					missing += clamp(l.Size)
					continue
				}
				return err
			}
			todo = append(todo, child)
		}
	}
	return s.makeRoom(ctx, missing)
}
