package job

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CPU is an amount of processor, in thousandths of one. Its text form, which
// JSON and job.yaml use, is that of Kubernetes: "500m", "2", "1.5". In CBOR it
// is a plain integer.
type CPU int64

// Bytes is an amount of memory or data. Its text form, which JSON and job.yaml
// use, is a number with a unit or without one: "256MiB", "1.5GB", "4096". In
// CBOR it is a plain integer.
type Bytes int64

// Duration is a span of time whose text form is Go's, without parts that are
// nought: "1h30m", "250ms". In CBOR it is a plain integer, in nanoseconds.
type Duration time.Duration

// unit is a suffix and what one of it is worth.
type unit struct {
	name string
	size int64
}

var (
	cpuUnits = []unit{{"m", 1}, {"", 1000}}
	// Largest first, so that the text form can take the first that divides.
	byteUnits = []unit{
		{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1}, {"", 1},
	}
	durationUnits = []unit{{"h", 0}, {"m", 0}, {"s", 0}, {"ms", 0}, {"us", 0}, {"µs", 0}, {"ns", 0}}
)

// String is the exact text form, such that UnmarshalText returns the same.
func (c CPU) String() string {
	if c%1000 == 0 {
		return strconv.FormatInt(int64(c/1000), 10)
	}
	return strconv.FormatInt(int64(c), 10) + "m"
}

// MarshalText is String.
func (c CPU) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the text form; it refuses negative amounts and ones finer
// than a thousandth.
func (c *CPU) UnmarshalText(b []byte) error {
	n, err := parseQuantity(string(b), cpuUnits, "write processors as 500m, 2 or 1.5")
	*c = CPU(n)
	return err
}

// String is the exact text form, such that UnmarshalText returns the same. It
// uses binary units alone, and only where nothing is lost.
func (n Bytes) String() string {
	for _, u := range byteUnits[:4] {
		if n != 0 && int64(n)%u.size == 0 {
			return strconv.FormatInt(int64(n)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(n), 10)
}

// Rough is n to three digits or so, for people. It cannot be read back.
func (n Bytes) Rough() string {
	f, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, u
	}
	if unit == "B" || f >= 100 {
		return fmt.Sprintf("%.0f %s", f, unit)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// MarshalText is String.
func (n Bytes) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads the text form; it refuses negative amounts and fractions
// of a byte.
func (n *Bytes) UnmarshalText(b []byte) error {
	v, err := parseQuantity(string(b), byteUnits, "known units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB")
	*n = Bytes(v)
	return err
}

// String is the exact text form, such that UnmarshalText returns the same.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText is String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the text form; it refuses negative spans and ones beyond
// 292 years, which is what the type holds.
func (d *Duration) UnmarshalText(b []byte) error {
	const known = "known units are h, m, s, ms, us and ns, for example 90s or 1h30m"
	s := string(b)
	v, err := time.ParseDuration(s)
	number, suffix := splitNumber(s)
	switch {
	case err == nil && v >= 0:
		*d = Duration(v)
		return nil
	case strings.HasPrefix(s, "-"):
		return fault(known, "%q is negative", clip(s))
	case number != "" && suffix == "":
		return fault(known, "%q has no unit", clip(s))
	case number != "" && strings.Trim(suffix, "0123456789.hmsuµn") == "":
		// Units that are known, in a form or an amount that is not.
		return fault(known, "%q is no span of time that can be counted", clip(s))
	}
	return unknownUnit(s, suffix, durationUnits, known)
}

// parseQuantity reads a decimal number and one of units, exactly. The remedy
// ends every error.
func parseQuantity(s string, units []unit, remedy string) (int64, error) {
	number, suffix := splitNumber(s)
	if strings.HasPrefix(s, "-") {
		return 0, fault(remedy, "%q is negative", clip(s))
	}
	i := slices.IndexFunc(units, func(u unit) bool { return u.name == suffix })
	if i < 0 {
		return 0, unknownUnit(s, suffix, units, remedy)
	}
	// The length is bounded before big numbers are made of it.
	amount, ok := new(big.Rat), len(number) <= 32
	if ok {
		_, ok = amount.SetString(number)
	}
	if !ok {
		return 0, fault(remedy, "%q is not a number with a unit", clip(s))
	}
	amount.Mul(amount, new(big.Rat).SetInt64(units[i].size))
	switch {
	case !amount.IsInt():
		return 0, fault(remedy, "%q is finer than can be counted", clip(s))
	case !amount.Num().IsInt64():
		return 0, fault(remedy, "%q is more than can be counted", clip(s))
	}
	return amount.Num().Int64(), nil
}

// splitNumber cuts s after its leading digits and points.
func splitNumber(s string) (number, suffix string) {
	i := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i:]
}

// unknownUnit says that suffix is none of units, with the nearest that is.
func unknownUnit(s, suffix string, units []unit, remedy string) error {
	if suffix == s {
		return fault(remedy, "%q is not a number with a unit", clip(s))
	}
	var names []string
	for _, u := range units {
		if u.name != "" {
			names = append(names, u.name)
		}
	}
	if n := Nearest(strings.TrimSpace(suffix), names); n != "" {
		remedy = "did you mean " + n + "? " + strings.ToUpper(remedy[:1]) + remedy[1:]
	}
	return fault(remedy, "unknown unit %q in %q", clip(suffix), clip(s))
}

// clip shortens what a user wrote to what fits into a message.
func clip(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
