package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/test"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/p2p"
)

// request is a message of a machine that shows a code.
func request(t *testing.T) (code p2p.Code, msg []byte, id string) {
	t.Helper()
	code, err := p2p.NewCode()
	if err != nil {
		t.Fatal(err)
	}
	msg, _, err = code.Ask(test.RandPeerIDFatal(t))
	if err != nil {
		t.Fatal(err)
	}
	id, _ = p2p.RequestID(msg)
	return code, msg, id
}

// states are the visitors of a door by their state.
func states(t *testing.T, d *door) map[api.JoinState]int {
	t.Helper()
	l, err := d.Requests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[api.JoinState]int{}
	for _, q := range l {
		out[q.State]++
	}
	return out
}

// asks begins to ask at the door as a joiner does; the reply comes over the channel.
func asks(ctx context.Context, d *door, msg []byte) <-chan string {
	got := make(chan string, 1)
	go func() {
		reply, err := d.wait(ctx, "10.0.0.9:4000", msg)
		if err != nil {
			reply = []byte(err.Error())
		}
		got <- string(reply)
	}()
	return got
}

func TestDoorHoldsAndAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d door
		_, msg, id := request(t)
		first := asks(t.Context(), &d, msg)
		synctest.Wait()
		if q, _ := d.Requests(t.Context()); len(q) != 1 || q[0].ID != id || q[0].Address != "10.0.0.9:4000" || q[0].State != api.JoinWaiting || q[0].Joiner != "" {
			t.Fatalf("the door has %+v", q)
		}
		begun := time.Now()
		if got := <-first; got != "" || time.Since(begun) != api.JoinHold {
			t.Errorf("the first question is answered with %q after %s; want nothing after %s", got, time.Since(begun), api.JoinHold)
		}
		older := asks(t.Context(), &d, msg)
		synctest.Wait()
		newer := asks(t.Context(), &d, msg) // the same machine, over another connection
		if got := <-older; got != "" {
			t.Errorf("the older question is answered with %q", got)
		}
		q, err := d.Answer(t.Context(), id, api.JoinAnswer{Joiner: "12D3KooWJoiner", Message: []byte("welcome")})
		if err != nil || q.State != api.JoinUsed || q.Joiner != "12D3KooWJoiner" {
			t.Errorf("%+v, %v", q, err)
		}
		if got := <-newer; got != "welcome" {
			t.Errorf("the newer question is answered with %q", got)
		}
		if got := <-asks(t.Context(), &d, msg); got != "welcome" { // whose answer was lost
			t.Errorf("asked again, it is answered with %q", got)
		}
		_, err = d.Answer(t.Context(), id, api.JoinAnswer{Joiner: "12D3KooWOther", Message: []byte("again")})
		if api.CodeOf(err) != api.CodeConflict || !strings.Contains(err.Error(), "used up") || !strings.Contains(err.Error(), "12D3KooWJoiner") {
			t.Errorf("a second answer: %v", err)
		}
		if _, err := d.Answer(t.Context(), "nobody", api.JoinAnswer{}); api.CodeOf(err) != api.CodeNotFound {
			t.Errorf("an answer to nobody: %v", err)
		}
		time.Sleep(codeMemory)
		if s := states(t, &d); len(s) != 0 {
			t.Errorf("in the end the door has %v", s)
		}
	})
}

func TestDoorKnowsWhoWaitsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d door
		_, msg, id := request(t)
		ctx, stop := context.WithCancel(t.Context())
		asked := asks(ctx, &d, msg)
		synctest.Wait()
		stop()
		if got := <-asked; got != context.Canceled.Error() {
			t.Errorf("it is answered with %q", got)
		}
		if s := states(t, &d); s[api.JoinWaiting] != 1 {
			t.Errorf("between two questions the door has %v", s)
		}
		time.Sleep(codeGrace)
		_, err := d.Answer(t.Context(), id, api.JoinAnswer{Message: []byte("x")})
		if s := states(t, &d); s[api.JoinGone] != 1 || api.CodeOf(err) != api.CodeConflict || !strings.Contains(err.Error(), "stopped asking") {
			t.Errorf("the door has %v; an answer: %v", s, err)
		}
		again := asks(t.Context(), &d, msg)
		synctest.Wait()
		if s := states(t, &d); s[api.JoinWaiting] != 1 {
			t.Errorf("once it asks again the door has %v", s)
		}
		<-again
		time.Sleep(codeLife)
		_, err = d.Answer(t.Context(), id, api.JoinAnswer{Message: []byte("x")})
		if s := states(t, &d); s[api.JoinExpired] != 1 || api.CodeOf(err) != api.CodeTokenExpired || !strings.Contains(err.Error(), "has expired") {
			t.Errorf("the door has %v; an answer: %v", s, err)
		}
		if _, err := d.wait(t.Context(), "10.0.0.9:4000", msg); api.CodeOf(err) != api.CodeTokenExpired {
			t.Errorf("asking with an expired code: %v", err)
		}
	})
}

func TestDoorIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d door
		_, msg, _ := request(t)
		if _, err := d.wait(t.Context(), "10.0.0.9:1", msg[:10]); api.CodeOf(err) != api.CodeInvalid {
			t.Errorf("nonsense: %v", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		// come asks once, from an address, and is gone at once.
		come := func(remote string) error {
			_, msg, _ := request(t)
			_, err := d.wait(ctx, remote, msg)
			return err
		}
		for i := range maxPerSite {
			if err := come(fmt.Sprintf("10.0.0.9:%d", i)); !errors.Is(err, context.Canceled) {
				t.Fatalf("visitor %d: %v", i, err)
			}
		}
		if err := come("10.0.0.9:999"); err == nil || !strings.Contains(err.Error(), "too many machines") {
			t.Errorf("one more from the same address: %v", err)
		}
		for i := maxPerSite; i < maxWaiting; i++ {
			if err := come(fmt.Sprintf("10.0.1.%d:1", i)); !errors.Is(err, context.Canceled) {
				t.Fatalf("visitor %d: %v", i, err)
			}
		}
		if err := come("10.9.9.9:1"); !errors.Is(err, context.Canceled) || states(t, &d)[api.JoinWaiting] != maxWaiting {
			t.Errorf("one more than %d, in place of one of many: %v", maxWaiting, err)
		}
		for i := range 2 * maxVisitors { // each of which waits no longer than a moment
			if i%10 == 0 {
				time.Sleep(codeGrace)
			}
			if err := come(fmt.Sprintf("10.2.%d.%d:1", i/250, i%250)); !errors.Is(err, context.Canceled) {
				t.Fatalf("visitor %d: %v", i, err)
			}
		}
		if len(d.visitors) > maxVisitors {
			t.Errorf("the door remembers %d", len(d.visitors))
		}
	})
}

// Somebody with a few addresses, who has a machine wait in every place there is,
// keeps no other out.
func TestDoorIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d door
		ctx, stop := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer stop()
		come := func(remote string) (id string, answer chan error) {
			_, msg, id := request(t)
			answer = make(chan error, 1)
			go func() {
				_, err := d.wait(ctx, remote, msg)
				answer <- err
			}()
			synctest.Wait()
			return id, answer
		}
		var last chan error
		for i := range maxWaiting {
			time.Sleep(time.Millisecond)
			_, last = come(fmt.Sprintf("[2001:db8:%x:%x::1]:1", i/maxPerSite, i))
		}
		honest, _ := come("10.0.0.9:1")
		if got := states(t, &d)[api.JoinWaiting]; got != maxWaiting || d.visitors[honest] == nil {
			t.Errorf("%d wait", got)
		}
		if err := <-last; err != nil { // it may ask again
			t.Errorf("the one that gave way was told %v", err)
		}
		for i := range 100 {
			_, refused := come(fmt.Sprintf("[2001:db8:%x:%x::1]:1", i%4, i))
			if i%4 != 3 { // the last site has one fewer than the others by now
				if err := <-refused; err == nil || !strings.Contains(err.Error(), "too many machines") {
					t.Errorf("one more of a site that has its share: %v", err)
				}
			}
		}
		if d.visitors[honest] == nil {
			t.Error("the one from elsewhere is not there any more")
		}
	})
}
