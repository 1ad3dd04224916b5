package p2p

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

const (
	self  = peer.ID("self")
	other = peer.ID("other")
)

func testRoster() (*Roster, time.Time) {
	return newRoster(self, 15*time.Second), time.Now()
}

func said(boot, seq uint64, site string) announcement {
	return announcement{Boot: boot, Seq: seq, Labels: map[string]string{"site": site}}
}

// changes empties a watch.
func changes(w *Watch) (out []string) {
	for {
		c, ok := w.pop()
		if !ok {
			return out
		}
		s := fmt.Sprintf("%s boot %d %s", string(c.Peer.ID), c.Peer.Boot, c.Peer.Labels["site"])
		if c.Gone {
			s = fmt.Sprintf("%s boot %d gone", string(c.Peer.ID), c.Peer.Boot)
		}
		out = append(out, s)
	}
}

func expect(t *testing.T, w *Watch, want ...string) {
	t.Helper()
	if got := changes(w); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("changes %q; want %q", got, want)
	}
}

func site(r *Roster, id peer.ID) string {
	p, ok := r.Get(id)
	if !ok {
		return "none"
	}
	return p.Labels["site"]
}

func TestReplayedAnnouncementIgnored(t *testing.T) {
	r, now := testRoster()
	r.hearDirect(other, said(1, 5, "new"), nil, now)
	for _, old := range []uint64{4, 5} {
		r.hearGossip(other, said(1, old, "old"), now.Add(time.Second))
		r.hearDirect(other, said(1, old, "old"), nil, now)
	}
	if got := site(r, other); got != "new" {
		t.Errorf("site %s after replays; want new", got)
	}
	if p, _ := r.Get(other); !p.Seen.Equal(now) {
		t.Error("a replay on gossip counted as a sign of life")
	}
	if !r.hearGossip(other, said(2, 1, "forged boot"), now) || site(r, other) != "new" {
		t.Error("gossip of another boot must lead to a question, not to a change")
	}
	// After it has gone, what it once said must not bring it back.
	r.gone(other, 1, "test")
	r.hearGossip(other, said(1, 5, "ghost"), now)
	if _, ok := r.Get(other); ok {
		t.Error("a replay raised a ghost")
	}
	if !r.hearGossip(other, said(1, 6, "back"), now) {
		t.Error("what it newly says is not worth a connection")
	}
}

func TestNewBootReplacesTheOld(t *testing.T) {
	r, now := testRoster()
	w := r.Watch()
	r.hearDirect(other, said(1, 9, "a"), nil, now)
	expect(t, w, "other boot 1 a")
	r.hearDirect(other, said(2, 1, "b"), nil, now)
	expect(t, w, "other boot 1 gone", "other boot 2 b")
	r.hearDirect(other, said(1, 10, "a"), nil, now)
	r.hearGossip(other, said(1, 11, "a"), now)
	expect(t, w)
	if r.gone(other, 1, "late news of the old process") || site(r, other) != "b" {
		t.Error("news of the old process hit the new one")
	}
}

func TestGoodbye(t *testing.T) {
	r, now := testRoster()
	w := r.Watch()
	bye := said(1, 9, "")
	bye.Leaving = true
	r.hearDirect(other, said(1, 8, "a"), nil, now)
	r.hearDirect(other, bye, nil, now)
	r.hearDirect(other, said(1, 7, "a"), nil, now) // overtaken by the goodbye
	r.hearGossip(other, said(1, 12, "a"), now)
	if site(r, other) != "none" {
		t.Error("it is still in the roster")
	}
	expect(t, w, "other boot 1 gone")
	r.hearDirect(other, said(2, 1, "b"), nil, now) // started again
	expect(t, w, "other boot 2 b")
}

func TestSilence(t *testing.T) {
	r, now := testRoster()
	r.setSelf(said(1, 1, "me"), now)
	r.hearDirect(other, said(1, 1, "a"), nil, now)
	if got := r.sweep(now.Add(14*time.Second), 0); len(got) != 0 {
		t.Errorf("gone too early: %v", got)
	}
	if got := r.pings(now.Add(14 * time.Second)); len(got) != 1 || got[0] != other {
		t.Errorf("pings %v; want the quiet peer that has spoken directly", got)
	}
	if got := r.pings(now.Add(14 * time.Second)); len(got) != 0 {
		t.Error("pinged twice at once")
	}
	r.pinged(other, 3*time.Millisecond, true, now.Add(14*time.Second))
	if p, _ := r.Get(other); p.RTT != 3*time.Millisecond {
		t.Errorf("RTT %v", p.RTT)
	}
	// This node was held up for a minute: it accuses nobody of it.
	if got := r.sweep(now.Add(74*time.Second), 60*time.Second); len(got) != 0 {
		t.Errorf("gone for our own lateness: %v", got)
	}
	w := r.Watch()
	changes(w)
	if got := r.sweep(now.Add(90*time.Second), 0); len(got) != 1 || got[0].ID != other {
		t.Errorf("gone %v; want other", got)
	}
	expect(t, w, "other boot 1 gone")
	if site(r, self) != "me" {
		t.Error("this node went from its own roster")
	}
	// It thaws, and greets: the same process is back.
	r.hearDirect(other, said(1, 1, "a"), nil, now.Add(200*time.Second))
	expect(t, w, "other boot 1 a")
}

func TestWatchMergesButKeepsGone(t *testing.T) {
	r, now := testRoster()
	r.hearDirect(other, said(1, 1, "a"), nil, now)
	w := r.Watch()
	expect(t, w, "other boot 1 a")
	for seq := uint64(2); seq < 1000; seq++ {
		r.hearDirect(other, said(1, seq, "b"), nil, now)
	}
	for boot := uint64(2); boot < 1000; boot++ {
		r.hearDirect(other, said(boot, 1, "c"), nil, now)
	}
	expect(t, w, "other boot 998 gone", "other boot 999 c")
	w.Close()
	w.Close()
	if _, err := w.Next(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("Next after Close: %v", err)
	}
}

func TestRosterIsBounded(t *testing.T) {
	r, now := testRoster()
	for i := range maxPeers {
		if !r.hearGossip(peer.ID(fmt.Sprint("made up ", i)), said(1, 1, ""), now) {
			t.Fatal("a stranger is not worth a connection")
		}
	}
	if n := len(r.Peers()); n != 0 {
		t.Errorf("%d peers that nobody has met", n)
	}
	for i := range maxPeers + 10 {
		r.hearDirect(peer.ID(fmt.Sprint(i)), said(1, 1, ""), nil, now)
	}
	if n := len(r.Peers()); n != maxPeers {
		t.Errorf("%d peers; want %d", n, maxPeers)
	}
	for i := range uint64(maxFences + 10) {
		r.fence(life{other, i}, 1)
	}
	if len(r.fences) != maxFences {
		t.Errorf("%d fences", len(r.fences))
	}
}

func TestProvenAddressesFirst(t *testing.T) {
	r, now := testRoster()
	good, said := multiaddr.StringCast("/ip4/10.0.0.7/tcp/1"), said(1, 1, "a")
	said.addrs = []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/10.0.0.1/tcp/1"), good}
	r.hearDirect(other, said, []multiaddr.Multiaddr{good}, now)
	p, _ := r.Get(other)
	if len(p.Addrs) != 2 || !p.Addrs[0].Equal(good) {
		t.Errorf("addresses %v", p.Addrs)
	}
}
