package sign

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestNonceIsGoodOnce(t *testing.T) {
	n := NewNonces()
	a, b := KeyOf(aKey(1)), KeyOf(aKey(2))
	one := n.New()
	if one == n.New() {
		t.Error("two are the same")
	}
	if err := errors.Join(n.Check(one), n.Use(a, one)); err != nil {
		t.Fatal(err)
	}
	if err := n.Use(a, one); !errors.Is(err, ErrUsed) {
		t.Errorf("the second time: %v", err)
	}
	if err := n.Use(b, one); err != nil {
		t.Errorf("another client has used it up: %v", err)
	}
	spoiled := []byte(one)
	for i := range spoiled {
		was := spoiled[i]
		for _, c := range []byte("AB=+\x00") {
			if spoiled[i] = c; c != was && n.Check(string(spoiled)) == nil {
				t.Errorf("character %d may be %q", i, c)
			}
		}
		spoiled[i] = was
	}
	for _, bad := range []string{"", one[:42], one + "A", one + "=", NewNonces().New()} {
		if err := n.Use(a, bad); !errors.Is(err, ErrStale) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// However the times of getting, using and using again lie: once and no more.
func TestNonceIsRememberedWhileGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, k := NewNonces(), KeyOf(aKey(1))
		const step = Window / 8
		type seen struct {
			nonce string
			at    time.Time
		}
		var all []seen
		for range 64 {
			all = append(all, seen{n.New(), time.Now()})
			if i := len(all) - 4; i >= 0 { // three steps after it was made
				if err := n.Use(k, all[i].nonce); err != nil {
					t.Fatal(err)
				}
			}
			for _, s := range all[:max(0, len(all)-3)] {
				want := ErrUsed
				if time.Since(s.at) >= Window {
					want = ErrStale
				}
				if err := n.Use(k, s.nonce); !errors.Is(err, want) {
					t.Fatalf("%v after it was made: %v, want %v", time.Since(s.at), err, want)
				}
			}
			time.Sleep(step)
		}
		if len(n.young)+len(n.old) > 2*8+2 {
			t.Errorf("%d are remembered", len(n.young)+len(n.old))
		}
	})
}

func TestNoncesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, k := NewNonces(), KeyOf(aKey(1))
		for range maxUsed {
			if err := n.Use(k, n.New()); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.Use(k, n.New()); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v", err)
		}
		time.Sleep(Window)
		if err := n.Use(k, n.New()); err != nil {
			t.Errorf("a while later: %v", err)
		}
	})
}

// One nonce that many requests bring at the same moment serves one.
func TestNonceRace(t *testing.T) {
	n, k := NewNonces(), KeyOf(aKey(1))
	for range 100 {
		one := n.New()
		var good atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if n.Use(k, one) == nil {
					good.Add(1)
				}
			})
		}
		all.Wait()
		if good.Load() != 1 {
			t.Fatalf("it served %d", good.Load())
		}
	}
}
