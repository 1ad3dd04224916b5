package storage

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// pins lists what is kept, by name.
func (p *aPeer) pins(t testing.TB) []PinInfo {
	t.Helper()
	var all []PinInfo
	if err := p.Pins(t.Context(), "", func(p PinInfo) error { all = append(all, p); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b PinInfo) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.CID, b.CID)) })
	return all
}

// What a person says of a root outranks what a file or a job is called.
func TestNamesOfPins(t *testing.T) {
	p := newPeer(t)
	src := write(t, filepath.Join(t.TempDir(), "book"), "text")
	c := mustPut(t, p.Store, src)
	for i, step := range []struct {
		do   func() error
		name string
		by   Keeper
	}{
		{func() error { _, _, err := p.Put(t.Context(), src, "job k7q2/out"); return err }, "job k7q2/out", Job},
		{func() error { _, err := p.Pin(t.Context(), c, ""); return err }, "job k7q2/out", User},
		{func() error { _, err := p.Pin(t.Context(), c, "whale"); return err }, "whale", User},
		{func() error { _, err := p.Add(t.Context(), archive(t, file("x")), ""); return err }, "whale", User},
		{func() error { _, _, err := p.Put(t.Context(), src, ""); return err }, "whale", User},
	} {
		if err := step.do(); err != nil {
			t.Fatal(i, err)
		}
		var got PinInfo
		if err := p.Pins(t.Context(), c, func(p PinInfo) error { got = p; return nil }); err != nil || got.Name != step.name || got.By != step.by || got.Since.IsZero() {
			t.Errorf("%d: %+v, %v", i, got, err)
		}
	}
	st, err := p.Add(t.Context(), archive(t, folder("top")), "whale")
	if err != nil {
		t.Fatal(err)
	}
	var ambiguous *AmbiguousError
	if _, err := p.Unpin(t.Context(), "whale"); !errors.As(err, &ambiguous) || !strings.Contains(err.Error(), c) || !strings.Contains(err.Error(), st.CID) {
		t.Errorf("unpinning a name that two have: %v", err)
	}
	if _, err := p.Unpin(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if was, err := p.Unpin(t.Context(), "whale"); err != nil || was.CID != st.CID {
		t.Errorf("unpinned %v, %v", was, err)
	}
	for _, what := range []string{"whale", c} {
		if _, err := p.Unpin(t.Context(), what); !errors.Is(err, ErrNotPinned) {
			t.Errorf("unpinning %s again: %v", what, err)
		}
	}
}

func TestIllegalNamesOfPins(t *testing.T) {
	p := newPeer(t)
	c := mustPut(t, p.Store, write(t, filepath.Join(t.TempDir(), "a\nname"), "text"))
	if pins := p.pins(t); len(pins) != 1 || pins[0].Name != "a?name" {
		t.Errorf("the pins are %+v", pins)
	}
	long := strings.Repeat("é", maxName/2+1)
	for _, name := range []string{"two\nlines", "bell\a", "esc\x1b[2J", "\xff", long, "\u0085"} {
		var illegal *NameError
		if _, err := p.Pin(t.Context(), c, name); !errors.As(err, &illegal) {
			t.Errorf("Pin as %q: %v", name, err)
		}
		if _, err := p.Add(t.Context(), archive(t, file("x")), name); !errors.As(err, &illegal) {
			t.Errorf("Add as %q: %v", name, err)
		}
		if _, err := p.Unpin(t.Context(), name); !errors.As(err, &illegal) {
			t.Errorf("Unpin %q: %v", name, err)
		}
	}
	if n := nameFrom(long); len(n) > maxName || !strings.HasPrefix(long, n) {
		t.Errorf("a long name became %q", n)
	}
	if pins := p.pins(t); len(pins) != 1 {
		t.Errorf("the pins are %+v", pins)
	}
}

// On a disk that is full, a pin that is there keeps its name and stays.
func TestPinGetsAnotherNameOnAFullDisk(t *testing.T) {
	p, disk := newSmallDisk(t)
	c := mustPut(t, p.Store, write(t, filepath.Join(t.TempDir(), "book"), "text"))
	before := p.pins(t)
	disk.room.Store(0)
	if _, err := p.Pin(t.Context(), c, "whale"); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), p.dir) {
		t.Errorf("the error is %v", err)
	}
	if now := p.pins(t); !slices.Equal(now, before) {
		t.Errorf("the pins are %v, and were %v", now, before)
	}
	if _, err := p.Collect(t.Context(), false); err != nil {
		t.Error(err)
	}
	if got := fetched(t, p.Store, c); got != "text" {
		t.Errorf("got %q", got)
	}
	if _, err := p.Unpin(t.Context(), c); err != nil {
		t.Errorf("a full disk, on which something can be unpinned: %v", err)
	}
	disk.room.Store(1 << 20)
	if _, err := p.Pin(t.Context(), c, "whale"); err != nil {
		t.Error(err)
	}
	if now := p.pins(t); len(now) != 1 || now[0].Name != "whale" {
		t.Errorf("the pins are %v", now)
	}
}

// The name of a file with what is said of a root is the root.
func TestDamagedRecordStaysPinned(t *testing.T) {
	p := newPeer(t)
	c := mustPut(t, p.Store, write(t, filepath.Join(t.TempDir(), "book"), "text"))
	records, err := filepath.Glob(filepath.Join(p.dir, rootsDir, "*", "*"+blockSuffix))
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	for _, content := range []string{"", "{", "\x00\xff", `{"size":"x"}`} {
		write(t, records[0], content)
		if pins := p.pins(t); len(pins) != 1 || pins[0] != (PinInfo{CID: c}) {
			t.Errorf("%q: the pins are %v", content, pins)
		}
		if _, err := p.Collect(t.Context(), false); err != nil {
			t.Error(err)
		}
		if got := fetched(t, p.Store, c); got != "text" {
			t.Errorf("%q: got %q", content, got)
		}
	}
	write(t, filepath.Join(filepath.Dir(records[0]), "NOCID"+blockSuffix), "")
	if err := p.Pins(t.Context(), "", func(PinInfo) error { return nil }); err == nil {
		t.Error("a file of another was taken for a pin")
	}
}

func TestPinsEndsWithSee(t *testing.T) {
	p := newPeer(t)
	for i := range 5 {
		mustPut(t, p.Store, write(t, filepath.Join(t.TempDir(), "book"), fmt.Sprint(i)))
	}
	enough, n := errors.New("enough"), 0
	if err := p.Pins(t.Context(), "", func(PinInfo) error { n++; return enough }); !errors.Is(err, enough) || n != 1 {
		t.Errorf("%d pins, %v", n, err)
	}
}
