package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ipfs/boxo/datastore/dshelp"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// Keeper is who wants a root to be kept.
type Keeper string

// The keepers. What a user says of a root outranks what a job says of it.
const (
	User Keeper = "user"
	Job  Keeper = "job"
)

// PinInfo is a root that is kept.
type PinInfo struct {
	CID   string    `json:"-"`
	Name  string    `json:"name,omitempty"` // that it was given, or of the file that it was stored from
	By    Keeper    `json:"by,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// Size is that of all its blocks, in bytes. Blocks that several roots share
	// count for each of them.
	Size int64 `json:"size"`
}

// roots is the record of what is kept: a file for each root, whose name is the
// CID and which holds the rest. A root is kept as long as its file is there, so
// that a file whose content is damaged costs a name and never data.
//
// boxo's pinner is not used, as it has three entries for a pin and gives it
// another name by removing and adding it: on a disk that is full the second half
// fails, and a failed Pin leaves entries that become a pin at the next start.
// Here every change is one file that is renamed or removed.
type roots struct {
	data datastore.Datastore
	mu   sync.Mutex // of changes: flatfs lets only one of two at a time on a key happen
}

var rootsPrefix = datastore.NewKey("/roots")

func rootKey(c cid.Cid) datastore.Key {
	return rootsPrefix.Child(dshelp.NewKeyFromBinary(c.Bytes()))
}

// put keeps a root and returns its record. Of one that is kept already it changes
// what p says and the old record does not: named tells that a person chose the
// name.
func (r *roots) put(ctx context.Context, c cid.Cid, p PinInfo, named bool) (PinInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.CID = c.String()
	if old, err := r.get(ctx, c); err == nil {
		p.Since = old.Since
		if old.Name != "" && !named {
			p.Name = old.Name
		}
		if old.By == User {
			p.By = User
		}
		if p.Since.Equal(old.Since) && p.Name == old.Name && p.By == old.By && p.Size == old.Size {
			return p, nil
		}
	} else if !errors.Is(err, datastore.ErrNotFound) {
		return p, err
	}
	record, err := json.Marshal(p)
	if err != nil {
		return p, err
	}
	return p, r.data.Put(ctx, rootKey(c), record)
}

// get is the record of a root, or datastore.ErrNotFound.
func (r *roots) get(ctx context.Context, c cid.Cid) (PinInfo, error) {
	p := PinInfo{CID: c.String()}
	record, err := r.data.Get(ctx, rootKey(c))
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(record, &p); err != nil {
		return PinInfo{CID: p.CID}, nil // it is kept all the same
	}
	return p, nil
}

func (r *roots) has(ctx context.Context, c cid.Cid) (bool, error) { return r.data.Has(ctx, rootKey(c)) }

// remove reports whether the root was kept.
func (r *roots) remove(ctx context.Context, c cid.Cid) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	has, err := r.has(ctx, c)
	if err != nil || !has {
		return false, err
	}
	return true, r.data.Delete(ctx, rootKey(c))
}

// each calls see for every root, in no order, without holding them all in
// memory. What is put or removed meanwhile is seen or not.
func (r *roots) each(ctx context.Context, see func(cid.Cid) error) error {
	all, err := r.data.Query(ctx, query.Query{Prefix: rootsPrefix.String(), KeysOnly: true})
	if err != nil {
		return err
	}
	defer all.Close()
	for e := range all.Next() {
		if e.Error != nil {
			return e.Error
		}
		raw, err := dshelp.BinaryFromDsKey(datastore.RawKey(strings.TrimPrefix(e.Key, rootsPrefix.String())))
		if err != nil {
			return fmt.Errorf("the file of pin %s has a name that is no CID's: %w", e.Key, err)
		}
		c, err := cid.Cast(raw)
		if err != nil {
			return fmt.Errorf("the file of pin %s has a name that is no CID's: %w", e.Key, err)
		}
		if err := see(c); err != nil {
			return err
		}
	}
	return ctx.Err() // the list may be cut short
}

// maxName bounds the name of a pin, in bytes, as file systems bound that of a
// file.
const maxName = 255

// checkPinName refuses a name that could not be shown in a line.
func checkPinName(name string) error {
	switch {
	case len(name) > maxName:
		return &NameError{name[:32] + "…", fmt.Sprintf("it has %d bytes, and %d are allowed", len(name), maxName)}
	case !utf8.ValidString(name):
		return &NameError{name, "it is not UTF-8"}
	case strings.ContainsFunc(name, unicode.IsControl):
		return &NameError{name, "it holds control characters"}
	}
	return nil
}

// nameFrom is the name of a file, which may be anything, as that of a pin.
func nameFrom(file string) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(file, "?"))
	for len(name) > maxName {
		_, last := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-last]
	}
	return name
}
