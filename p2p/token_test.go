package p2p

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	"github.com/multiformats/go-multiaddr"
)

type joinCase struct {
	key    SwarmKey
	member peer.AddrInfo
	joiner peer.ID
	now    time.Time
}

func newJoinCase(t *testing.T) joinCase {
	t.Helper()
	key, err := NewSwarmKey()
	if err != nil {
		t.Fatal(err)
	}
	return joinCase{
		key: key,
		member: peer.AddrInfo{ID: test.RandPeerIDFatal(t), Addrs: []multiaddr.Multiaddr{
			multiaddr.StringCast("/ip4/10.0.0.7/tcp/1235"), multiaddr.StringCast("/ip6/fd00::1/tcp/1235")}},
		joiner: test.RandPeerIDFatal(t),
		now:    time.Unix(1_800_000_000, 0),
	}
}

func (c joinCase) token(t *testing.T) string {
	t.Helper()
	token, err := c.key.NewToken(c.now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestJoin(t *testing.T) {
	c := newJoinCase(t)
	token := c.token(t)
	if !strings.HasPrefix(token, "shoal1") || len(token) > 128 {
		t.Errorf("token %q (%d characters)", token, len(token))
	}
	msg, finish, err := Ask(" "+strings.ToUpper(token)+"\n", c.joiner, c.now)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(msg, []byte(c.joiner)) {
		t.Error("the joiner's ID is in the clear")
	}
	reply, who, err := Admit(c.key, c.member, c.now.Add(59*time.Minute), msg)
	if err != nil || who != c.joiner {
		t.Fatalf("Admit: joiner %s, %v; want %s", who, err, c.joiner)
	}
	if bytes.Contains(reply, c.key[:]) {
		t.Error("the key is in the clear")
	}
	got, err := finish(reply)
	if err != nil {
		t.Fatal(err)
	}
	if got.Key != c.key || got.Member.ID != c.member.ID || len(got.Member.Addrs) != 2 || !got.Member.Addrs[0].Equal(c.member.Addrs[0]) {
		t.Errorf("got %v", got)
	}
}

func TestJoinRefused(t *testing.T) {
	c, other := newJoinCase(t), newJoinCase(t)
	token := c.token(t)
	ask := func(token string, now time.Time) ([]byte, error) {
		msg, _, err := Ask(token, c.joiner, now)
		return msg, err
	}
	for name, bad := range map[string]string{
		"empty": "", "prefix only": "shoal1", "truncated": token[:len(token)-3], "other text": "shoal1" + strings.Repeat("a", len(token)-6),
		"typo": token[:40] + flip(token[40]) + token[41:], "longer": token + "a", "no prefix": token[6:], "not base32": token[:20] + "!" + token[21:],
	} {
		if _, err := ask(bad, c.now); !errors.Is(err, ErrTokenMalformed) || !strings.Contains(err.Error(), "node token create") {
			t.Errorf("%s: %v; want ErrTokenMalformed and what to do", name, err)
		}
	}
	if _, err := ask(token, c.now.Add(time.Hour)); !errors.Is(err, ErrTokenExpired) {
		t.Errorf("expired at the joiner: %v", err)
	}
	msg, err := ask(token, c.now)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(msg)
	changed[publicSize-1]++ // a later expiry than the token has
	for name, x := range map[string]struct {
		key  SwarmKey
		now  time.Time
		msg  []byte
		want error
	}{
		"expired at the member": {c.key, c.now.Add(2 * time.Hour), msg, ErrTokenExpired},
		"foreign":               {other.key, c.now, msg, ErrTokenForeign},
		"expiry prolonged":      {c.key, c.now, changed, ErrTokenWrong},
		"message cut":           {c.key, c.now, msg[:len(msg)-1], ErrTokenWrong},
		"public fields only":    {c.key, c.now, msg[:publicSize], ErrTokenWrong},
		"too short":             {c.key, c.now, msg[:publicSize-1], ErrTokenMalformed},
		"too long":              {c.key, c.now, append(bytes.Clone(msg), make([]byte, admissionLimit)...), ErrTokenMalformed},
		"empty":                 {c.key, c.now, nil, ErrTokenMalformed},
		"another version":       {c.key, c.now, append([]byte{9}, msg[1:]...), ErrTokenMalformed},
	} {
		reply, _, err := Admit(x.key, c.member, x.now, x.msg)
		if !errors.Is(err, x.want) || reply != nil {
			t.Errorf("%s: %v; want %v", name, err, x.want)
		}
		// The joiner reads it, on another machine.
		if err != nil && (strings.Contains(err.Error(), "here") || strings.Contains(err.Error(), "this")) {
			t.Errorf("%s: %v; here is not where it is read", name, err)
		}
	}
}

func TestTokenLife(t *testing.T) {
	c := newJoinCase(t)
	for _, ttl := range []time.Duration{-time.Hour, -1, 0, time.Millisecond, MaxTokenLife + 1, 1<<63 - 1} {
		if token, err := c.key.NewToken(c.now, ttl); err == nil || token != "" || !strings.Contains(err.Error(), ttl.String()) {
			t.Errorf("a life of %s: %v", ttl, err)
		}
	}
	for _, ttl := range []time.Duration{MinTokenLife, time.Hour, MaxTokenLife} {
		token, err := c.key.NewToken(c.now, ttl)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Ask(token, c.joiner, c.now.Add(ttl-1)); err != nil {
			t.Errorf("just before the end of %s: %v", ttl, err)
		}
	}
}

func flip(b byte) string {
	if b == 'a' {
		return "b"
	}
	return "a"
}

func TestWrongSecret(t *testing.T) {
	c, other := newJoinCase(t), newJoinCase(t)
	// A token that claims this swarm, but whose secret comes from another key.
	public, _, err := parseToken(c.token(t))
	if err != nil {
		t.Fatal(err)
	}
	hs, err := joinHandshake(public, other.key.secret(public), true)
	if err != nil {
		t.Fatal(err)
	}
	msg, _, _, err := hs.WriteMessage(public.encode(), []byte(c.joiner))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Admit(c.key, c.member, c.now, msg); !errors.Is(err, ErrTokenWrong) {
		t.Errorf("%v; want ErrTokenWrong", err)
	}
}

func TestReplayedJoin(t *testing.T) {
	c := newJoinCase(t)
	token := c.token(t)
	msg, finish, err := Ask(token, c.joiner, c.now)
	if err != nil {
		t.Fatal(err)
	}
	reply, _, err := Admit(c.key, c.member, c.now, msg)
	if err != nil {
		t.Fatal(err)
	}
	// Somebody who replays the request gets an answer, and so would somebody who
	// holds the token but saw this exchange only from outside: neither can read it.
	replayed, _, err := Admit(c.key, c.member, c.now, msg)
	if err != nil {
		t.Fatal(err)
	}
	_, finishOther, err := Ask(token, c.joiner, c.now)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string][]byte{"recorded": reply, "replayed": replayed, "empty": nil, "cut": reply[:40]} {
		if _, err := finishOther(r); !errors.Is(err, ErrTokenWrong) {
			t.Errorf("%s answer: %v; want ErrTokenWrong", name, err)
		}
	}
	if _, err := finish(reply); err != nil {
		t.Errorf("the asker itself cannot read its answer: %v", err)
	}
}
