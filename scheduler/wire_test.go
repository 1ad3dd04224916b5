package scheduler

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"sort"
	"strings"
	"testing"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

func examples() []Message {
	a := job.Attempt{Job: "lllllabcdefgh", Task: 1, Attempt: 2}
	b := Bid{Boot: math.MaxUint64, Seq: 3, Free: job.Room{CPU: 1, Memory: 2}, Total: job.Room{CPU: 3, Memory: 4}, Jobs: 5}
	spec := tiny("x", "zone=eu")
	spec.Task.Env = map[string]string{"B": "2", "A": "1", "LONG": "3"}
	spec.Inputs = []job.Input{{From: aModule, At: "/in"}}
	spec.Outputs = []job.OutputDir{{Name: "o", At: "/out"}}
	return []Message{
		Award{a, spec}, Withdraw{a}, Ask{[]job.Attempt{a, a}}, ReportAck{a},
		Accept{a, b}, Decline{a, b, "no room"}, Started{a},
		Report{Attempt: a, Bid: b, Result: job.Result{Exit: -1, Error: "e", Outputs: []job.Output{{Name: "o", CID: cidOf("c"), Size: 1}}, Usage: job.Usage{CPU: 1, Wall: 2, Memory: 3}}},
		Report{Attempt: a, Bid: b, Failure: "f", Leaving: true},
		Holding{7, []Held{{a, Gone}, {a, Ended}}},
	}
}

func TestWireRoundTrip(t *testing.T) {
	for _, m := range examples() {
		frame, err := Encode(m)
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		again, _ := Encode(m)
		if !bytes.Equal(frame, again) {
			t.Errorf("%T has two forms", m)
		}
		back, err := Decode(frame)
		if err != nil || !reflect.DeepEqual(back, m) {
			t.Errorf("%T came back as\n%+v, was\n%+v: %v", m, back, m, err)
		}
		for n := range frame {
			if _, err := Decode(frame[:n]); err == nil {
				t.Fatalf("%T was read from %d of %d bytes", m, n, len(frame))
			}
		}
	}
	b := Bid{Boot: math.MaxUint64, Seq: math.MaxUint64, Free: job.Room{CPU: maxAmount, Memory: maxAmount}, Total: job.Room{CPU: maxAmount, Memory: maxAmount}, Jobs: math.MaxInt64}
	frame, err := EncodeBid(b)
	if err != nil || len(frame) > MaxBid {
		t.Fatalf("a bid of %d bytes: %v", len(frame), err)
	}
	if back, err := DecodeBid("p", frame); err != nil || back != b {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestWireRefuses(t *testing.T) {
	a := job.Attempt{Job: "j", Attempt: 1}
	long := strings.Repeat("x", maxText+1)
	for name, m := range map[string]Message{
		"attempt 0":          Withdraw{job.Attempt{Job: "j"}},
		"negative task":      Started{job.Attempt{Job: "j", Task: -1, Attempt: 1}},
		"no job":             ReportAck{job.Attempt{Attempt: 1}},
		"free above total":   Accept{a, Bid{Free: job.Room{CPU: 1}}},
		"negative room":      Accept{a, Bid{Free: job.Room{CPU: -1}}},
		"endless reason":     Decline{Attempt: a, Reason: long},
		"endless failure":    Report{Attempt: a, Failure: long},
		"half a character":   Report{Attempt: a, Failure: "\xc3"},
		"no CID":             Report{Attempt: a, Result: job.Result{Outputs: []job.Output{{Name: "o", CID: "c"}}}},
		"no name":            Report{Attempt: a, Result: job.Result{Outputs: []job.Output{{Name: "../o", CID: cidOf("c")}}}},
		"too many outputs":   Report{Attempt: a, Result: job.Result{Outputs: make([]job.Output, 101)}},
		"negative demands":   Award{a, job.Spec{Resources: job.Resources{CPU: -1}}},
		"negative use":       Report{Attempt: a, Result: job.Result{Usage: job.Usage{CPU: -1}}},
		"too many asked":     Ask{make([]job.Attempt, maxAsked+1)},
		"unknown phase":      Holding{1, []Held{{a, 9}}},
		"impossible demands": Award{a, job.Spec{Resources: job.Resources{Memory: maxAmount + 1}}},
	} {
		frame, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := Decode(frame); err == nil {
			t.Errorf("%s was read as %+v", name, m)
		}
	}
	if _, err := Encode(Decline{Attempt: a, Reason: strings.Repeat("x", MaxFrame)}); err == nil {
		t.Error("an oversized message was encoded")
	}
	newer, _ := encoding.Marshal(envelope{Version: 2, Kind: kindStarted, Body: []byte{0xa0}})
	unknown, _ := encoding.Marshal(envelope{Version: 1, Kind: 99, Body: []byte{0xa0}})
	bid, _ := EncodeBid(Bid{})
	for name, frame := range map[string][]byte{"newer": newer, "unknown": unknown, "a bid": bid, "empty": nil, "huge": make([]byte, MaxFrame+1)} {
		if m, err := Decode(frame); err == nil {
			t.Errorf("%s was read as %+v", name, m)
		}
	}
	started, _ := Encode(Started{a})
	for name, frame := range map[string][]byte{"no bid": started, "newer": newer, "huge": make([]byte, MaxBid+1), "empty": nil} {
		if b, err := DecodeBid("p", frame); err == nil {
			t.Errorf("%s was read as %+v", name, b)
		}
	}
}

// A spec that is at the limits of what Validate lets through can be awarded.
func TestWireHoldsWhatValidates(t *testing.T) {
	wordy := func(n int) job.Spec {
		s := tiny("", "")
		s.Task.Env, s.Task.Args = map[string]string{}, make([]string, n)
		for i := range n {
			s.Task.Env[fmt.Sprint("V", i)] = "v"
		}
		return s
	}
	most := sort.Search(20_000, func(n int) bool { return wordy(n).Validate() != nil }) - 1
	if most < 1000 {
		t.Fatalf("%d arguments and variables at most: %v", most, wordy(most+1).Validate())
	}
	if err := readable(Award{attempt("lllll", 1), wordy(most)}); err != nil {
		t.Error(err)
	}
}

// What decodes encodes again, to something that decodes to the same; and reading
// costs no more memory than a small multiple of what came.
func FuzzDecode(f *testing.F) {
	for _, m := range examples() {
		frame, _ := Encode(m)
		f.Add(frame)
	}
	bid, _ := EncodeBid(Bid{Boot: 1, Seq: 2})
	f.Add(bid)
	f.Fuzz(func(t *testing.T, frame []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := Decode(frame)
		_, _ = DecodeBid("p", frame)
		runtime.ReadMemStats(&after)
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 1<<20+64*uint64(len(frame)) {
			t.Errorf("%d bytes cost %d", len(frame), spent)
		}
		if err != nil {
			return
		}
		one, err := Encode(m)
		if err != nil {
			t.Fatalf("%+v was read, but cannot be written: %v", m, err)
		}
		back, err := Decode(one)
		if err != nil {
			t.Fatalf("%+v was written, but cannot be read: %v", m, err)
		}
		if two, _ := Encode(back); !bytes.Equal(one, two) {
			t.Fatalf("%x became %x", one, two)
		}
	})
}
