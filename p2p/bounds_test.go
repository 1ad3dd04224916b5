package p2p

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestQuotas(t *testing.T) {
	q, now := newQuotas(2, 3), time.Unix(1_800_000_000, 0)
	one, two := test.RandPeerIDFatal(t), test.RandPeerIDFatal(t)
	take := func(id peer.ID) (n int) {
		for n < 100 && q.allow(id, 1, now) {
			n++
		}
		return n
	}
	if n, m := take(one), take(two); n != 3 || m != 3 {
		t.Errorf("%d and %d; want 3 each", n, m)
	}
	now = now.Add(time.Second)
	if n := take(one); n != 2 {
		t.Errorf("%d after a second; want 2", n)
	}
	for range 2 * maxPeers {
		q.allow(test.RandPeerIDFatal(t), 1, now)
	}
	if n := len(q.peers); n != maxPeers {
		t.Errorf("%d peers are remembered", n)
	}
	if n := take(one); n != 0 {
		t.Errorf("a flood of others has given it %d more", n)
	}
	now = now.Add(time.Minute)
	if !q.allow(test.RandPeerIDFatal(t), 1, now) || len(q.peers) > 1 {
		t.Errorf("%d peers are still remembered after a minute", len(q.peers))
	}
}

// A peer that says hello without end is not answered without end.
func TestHellosAreBounded(t *testing.T) {
	a, b := pair(t)
	ctx := deadline(t)
	for n := 0; ; n++ {
		if err := a.hello(ctx, b.id(), a.announcement()); err != nil {
			if ctx.Err() != nil {
				t.Errorf("%d hellos were answered", n)
			}
			return
		}
	}
}

func TestPenalties(t *testing.T) {
	p, now, bad := newPenalties(), time.Unix(1_800_000_000, 0), test.RandPeerIDFatal(t)
	last := time.Duration(0)
	for range 20 {
		pause := p.fault(bad, now)
		if pause <= last && pause != lastPause || pause < firstPause {
			t.Errorf("a pause of %s after one of %s", pause, last)
		}
		if !p.out(bad, now) || !p.out(bad, now.Add(pause-1)) || p.out(bad, now.Add(pause)) {
			t.Errorf("it is not out for just %s", pause)
		}
		last, now = pause, now.Add(pause)
	}
	if last != lastPause {
		t.Errorf("the last pause is %s", last)
	}
	if p.out(test.RandPeerIDFatal(t), now) {
		t.Error("a peer without a fault is kept out")
	}
	if pause := p.fault(bad, now.Add(forgiveAfter)); pause != firstPause {
		t.Errorf("a pause of %s after a long time without a fault", pause)
	}
	for range 2 * maxPenalties {
		p.fault(test.RandPeerIDFatal(t), now)
	}
	if n := len(p.peers); n > maxPenalties {
		t.Errorf("%d penalties are remembered", n)
	}
}

// A peer that sends nonsense costs one line and its stream, and is heard again
// later.
func TestPostKeepsNonsenseOut(t *testing.T) {
	core, lines := observer.New(zapcore.WarnLevel)
	key, say := testKey(t), map[string]string{"n": "1"}
	a := start(t, Config{SwarmKey: key, Labels: say})
	b := startLogged(t, Config{SwarmKey: key, Labels: say, Bootstrap: []peer.AddrInfo{a.info()}}, zap.New(core))
	a.waitPeer(t, b.id())
	b.waitPeer(t, a.id())
	got := make(chan string, 1000)
	post := NewPost(b.Mesh, "/test/post", func(_ peer.ID, frame []byte) error {
		got <- string(frame)
		if string(frame) == "bad" {
			return errors.New("it does not decode")
		}
		return nil
	})
	defer post.Close()
	ctx := deadline(t)
	// say sends frames over a new stream and waits for its end.
	send := func(frames ...string) error {
		s, err := a.Host().NewStream(ctx, b.id(), "/test/post")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Reset()
		for _, f := range frames {
			if err := writeFrame(s, []byte(f)); err != nil {
				return err
			}
		}
		s.CloseWrite()
		s.SetReadDeadline(time.Now().Add(patience))
		_, err = io.Copy(io.Discard, s)
		return err
	}
	send("good", "bad", "good", "bad")
	for _, want := range []string{"good", "bad"} {
		if f := <-got; f != want {
			t.Errorf("received %q, want %q", f, want)
		}
	}
	for n := range 10 {
		send("bad")
		if len(got) > 0 && n == 0 {
			t.Error("it was heard again at once")
		}
	}
	warned := lines.FilterField(zap.Stringer("peer", a.id())).FilterLevelExact(zapcore.WarnLevel).Len()
	if warned < 1 || warned > 2 { // the second if the machine was busy for longer than the pause
		t.Errorf("%d lines about it", warned)
	}
	for len(got) > 0 {
		<-got
	}
	for len(got) == 0 {
		if ctx.Err() != nil {
			t.Fatal("it is never heard again")
		}
		send("good")
	}
}
