package job

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"
)

func TestQuantityText(t *testing.T) {
	tests := []struct {
		text string
		into interface{ UnmarshalText([]byte) error }
		want string // its String, or its error
	}{
		{"500m", new(CPU), "500m"},
		{"1.5", new(CPU), "1500m"},
		{"2000m", new(CPU), "2"},
		{"2", new(CPU), "2"},
		{"0.0001", new(CPU), `"0.0001" is finer than can be counted; write processors as 500m, 2 or 1.5`},
		{"-1", new(CPU), `"-1" is negative; write processors as 500m, 2 or 1.5`},
		{"", new(CPU), `"" is not a number with a unit; write processors as 500m, 2 or 1.5`},
		{"1.2.3", new(CPU), `"1.2.3" is not a number with a unit; write processors as 500m, 2 or 1.5`},
		{"two", new(CPU), `"two" is not a number with a unit; write processors as 500m, 2 or 1.5`},
		{"9223372036854775807", new(CPU), `"9223372036854775807" is more than can be counted; write processors as 500m, 2 or 1.5`},
		{"256MiB", new(Bytes), "256MiB"},
		{"268435456", new(Bytes), "256MiB"},
		{"1.5GiB", new(Bytes), "1536MiB"},
		{"500MB", new(Bytes), "500000000"},
		{"1000kB", new(Bytes), "1000000"},
		{"512B", new(Bytes), "512"},
		{"0", new(Bytes), "0"},
		{"0.5B", new(Bytes), `"0.5B" is finer than can be counted; known units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB`},
		{"256mib", new(Bytes), `unknown unit "mib" in "256mib"; did you mean MiB? Known units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB`},
		{"256 MiB", new(Bytes), `unknown unit " MiB" in "256 MiB"; did you mean MiB? Known units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB`},
		{"8388608TiB", new(Bytes), `"8388608TiB" is more than can be counted; known units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB`},
		{"10m", new(Duration), "10m"},
		{"90m", new(Duration), "1h30m"},
		{"1h", new(Duration), "1h"},
		{"250ms", new(Duration), "250ms"},
		{"0s", new(Duration), "0s"},
		{"1d", new(Duration), `unknown unit "d" in "1d"; known units are h, m, s, ms, us and ns, for example 90s or 1h30m`},
		{"-1s", new(Duration), `"-1s" is negative; known units are h, m, s, ms, us and ns, for example 90s or 1h30m`},
		{"9999999h", new(Duration), `"9999999h" is no span of time that can be counted; known units are h, m, s, ms, us and ns, for example 90s or 1h30m`},
		{"", new(Duration), `"" is not a number with a unit; known units are h, m, s, ms, us and ns, for example 90s or 1h30m`},
	}
	for _, test := range tests {
		got := ""
		if err := test.into.UnmarshalText([]byte(test.text)); err != nil {
			got = err.Error()
		} else {
			got = test.into.(interface{ String() string }).String()
		}
		if got != test.want {
			t.Errorf("%T %q:\ngot  %s\nwant %s", test.into, test.text, got, test.want)
		}
	}
}

// TestQuantityForms: texts in JSON, where people read them, and small integers
// in CBOR, where ledgers and messages keep them; and both come back the same.
func TestQuantityForms(t *testing.T) {
	type all struct {
		C CPU
		B Bytes
		D Duration
	}
	a := all{1500, 256 << 20, Duration(time.Hour)}
	text, err := json.Marshal(a)
	if want := `{"C":"1500m","B":"256MiB","D":"1h"}`; err != nil || string(text) != want {
		t.Errorf("JSON is %s, %v; want %s", text, err, want)
	}
	packed, err := cbor.Marshal(CPU(1500))
	if err != nil || len(packed) != 3 {
		t.Errorf("CBOR is %x, %v; want an integer of 3 bytes", packed, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, math.MaxInt64)
		in := all{CPU(n.Draw(t, "cpu")), Bytes(n.Draw(t, "bytes")), Duration(n.Draw(t, "duration"))}
		var fromJSON, fromCBOR all
		text, err := json.Marshal(in)
		if err == nil {
			err = json.Unmarshal(text, &fromJSON)
		}
		if err != nil || fromJSON != in {
			t.Fatalf("%+v through JSON %s is %+v, %v", in, text, fromJSON, err)
		}
		packed, err := cbor.Marshal(in)
		if err == nil {
			err = cbor.Unmarshal(packed, &fromCBOR)
		}
		if err != nil || fromCBOR != in {
			t.Fatalf("%+v through CBOR is %+v, %v", in, fromCBOR, err)
		}
	})
}

func TestBytesForPeople(t *testing.T) {
	for n, want := range map[Bytes]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 20: "1.0 MiB", 99<<20 + 900<<10: "99.9 MiB", 100 << 20: "100 MiB",
		3 << 29: "1.5 GiB", 1 << 50: "1024 TiB",
	} {
		if got := n.Rough(); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
