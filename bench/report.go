package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is the rows of the table, in the order in which they were measured.
type report struct{ rows []row }

// row is one figure; floor and ratio are empty where there is nothing to
// compare it with.
type row struct{ what, figure, floor, ratio string }

func (r *report) add(what, figure string) { r.rows = append(r.rows, row{what: what, figure: figure}) }

// beside adds a figure with the floor that was measured in the same run.
func (r *report) beside(what, figure, floor string, ratio float64) {
	r.rows = append(r.rows, row{what, figure, floor, fmt.Sprintf("%.2f ×", ratio)})
}

func (r *report) markdown() string {
	var b strings.Builder
	b.WriteString("| measured | figure | floor, same run | ratio |\n|---|---|---|---|\n")
	for _, row := range r.rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", row.what, row.figure, row.floor, row.ratio)
	}
	return b.String()
}

// sample is times of the same thing.
type sample []time.Duration

// at is the value below which the share q of the sample lies.
func (s sample) at(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (s sample) median() time.Duration { return s.at(0.5) }

// String is median and 90th percentile.
func (s sample) String() string {
	return fmt.Sprintf("%s / %s", ms(s.median()), ms(s.at(0.9)))
}

// ms is d in milliseconds with three digits that count.
func ms(d time.Duration) string {
	v := float64(d) / float64(time.Millisecond)
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f ms", v)
	case v < 100:
		return fmt.Sprintf("%.1f ms", v)
	}
	return fmt.Sprintf("%.0f ms", v)
}

func mb(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

// machine says on what the figures were taken; load is what it did before.
func machine(ctx context.Context, binary, load string) string {
	version, err := exec.CommandContext(ctx, binary, "version").Output()
	if err != nil {
		version = []byte(err.Error())
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(version)), "\n")
	var kib float64
	fmt.Sscan(field("/proc/meminfo", "MemTotal"), &kib)
	return fmt.Sprintf("%s · %s, %d cores · %.1f GB memory · Linux %s · %s/%s, %s · load before the run %s · %s\n",
		time.Now().Format(time.DateOnly), field("/proc/cpuinfo", "model name"), runtime.NumCPU(), kib*1024/1e9,
		oneLine("/proc/sys/kernel/osrelease"), runtime.GOOS, runtime.GOARCH, runtime.Version(), load, first)
}

// load is what the machine has had to do in the last minute.
func load() string {
	load, _, _ := strings.Cut(oneLine("/proc/loadavg"), " ")
	return load
}

// field is the value of the first line "name: value" in the file.
func field(file, name string) string {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func oneLine(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

// The marks between which a Markdown file carries the results.
const (
	beginMark = "<!-- results: make bench-record writes from here -->\n"
	endMark   = "<!-- to here -->\n"
)

// record replaces what stands between the marks of the file.
func record(file, text string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(old, []byte(beginMark))
	_, after, ok2 := bytes.Cut(rest, []byte(endMark))
	if !ok || !ok2 {
		return fmt.Errorf("%s lacks the lines %q and %q between which the results belong", file, strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	return os.WriteFile(file, slices.Concat(before, []byte(beginMark), []byte(text), []byte(endMark), after), 0o644)
}
