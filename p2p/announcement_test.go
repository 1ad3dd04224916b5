package p2p

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/multiformats/go-multiaddr"
)

func sampleAnnouncement() announcement {
	addr := multiaddr.StringCast("/ip4/10.0.0.7/tcp/1235")
	return announcement{
		Version: announcementVersion, Type: announcementType, Boot: 7, Seq: 9,
		Labels: map[string]string{"site": "attic", "shoal.dev/arch": "arm64", "empty": ""}, Ledgers: []string{"k7q2 3"},
		Addrs: encodeAddrs([]multiaddr.Multiaddr{addr}), addrs: []multiaddr.Multiaddr{addr},
	}
}

func TestAnnouncementRoundTrip(t *testing.T) {
	want := sampleAnnouncement()
	b, err := encodeAnnouncement(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeAnnouncement(b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for range 20 { // maps have no order, encodings do
		if again, _ := encodeAnnouncement(want); !bytes.Equal(again, b) {
			t.Fatal("two encodings of one value differ")
		}
	}
}

func TestAnnouncementRefused(t *testing.T) {
	many := make(map[string]string)
	for i := range MaxLabels + 1 {
		many[fmt.Sprint("k", i)] = ""
	}
	for name, change := range map[string]func(*announcement){
		"label key":          func(a *announcement) { a.Labels = map[string]string{"a b": "c"} },
		"label value":        func(a *announcement) { a.Labels = map[string]string{"a": "-c-"} },
		"long value":         func(a *announcement) { a.Labels = map[string]string{"a": strings.Repeat("c", 64)} },
		"many labels":        func(a *announcement) { a.Labels = many },
		"many ledgers":       func(a *announcement) { a.Ledgers = strings.Split(strings.Repeat("l", maxLedgers+1), "") },
		"ledger unprintable": func(a *announcement) { a.Ledgers = []string{"\x1b[2J"} },
		"ledger empty":       func(a *announcement) { a.Ledgers = []string{""} },
		"ledger long":        func(a *announcement) { a.Ledgers = []string{strings.Repeat("l", maxLedgerName+1)} },
		"many addresses":     func(a *announcement) { a.Addrs = make([][]byte, maxAddrs+1) },
		"bad address":        func(a *announcement) { a.Addrs = [][]byte{{0xff, 0xff}} },
	} {
		a := sampleAnnouncement()
		change(&a)
		b, err := encodeAnnouncement(a)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeAnnouncement(b); err == nil || errors.Is(err, ErrIgnore) {
			t.Errorf("%s: %v; want it to be refused", name, err)
		}
	}
	b, _ := encodeAnnouncement(sampleAnnouncement())
	for name, bad := range map[string][]byte{
		"empty": nil, "cut": b[:len(b)-1], "trailing": append(bytes.Clone(b), 0),
		"long": make([]byte, announcementLimit+1), "unsorted": {0xa4, 1, 1, 0, 1, 2, 7, 3, 9},
		"long int": {0xa4, 0, 1, 1, 1, 2, 0x18, 7, 3, 9}, "unknown field": {0xa5, 0, 1, 1, 1, 2, 7, 3, 9, 0x18, 99, 0},
	} {
		if _, err := decodeAnnouncement(bad); err == nil || errors.Is(err, ErrIgnore) {
			t.Errorf("%s: %v; want it to be refused", name, err)
		}
	}
	// Another version is nobody's fault, whatever else it has.
	if _, err := decodeAnnouncement([]byte{0xa3, 0, 2, 1, 1, 0x18, 99, 0}); !errors.Is(err, ErrIgnore) {
		t.Errorf("another version: %v; want ErrIgnore", err)
	}
}

func FuzzDecodeAnnouncement(f *testing.F) {
	b, err := encodeAnnouncement(sampleAnnouncement())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0xa4, 0, 1, 1, 1, 2, 7, 3, 9})
	f.Add([]byte{0xa1, 4, 0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAnnouncement(b)
		if err != nil {
			return
		}
		again, err := encodeAnnouncement(a)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x decodes, and encodes to %x, %v", b, again, err)
		}
		if len(a.Labels) > MaxLabels || len(a.Ledgers) > maxLedgers || len(a.addrs) > maxAddrs {
			t.Errorf("bounds passed: %+v", a)
		}
	})
}
