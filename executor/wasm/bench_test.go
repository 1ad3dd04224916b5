package wasm

import (
	"testing"

	"github.com/shoal-mesh/shoal/executor"
)

func engines(b *testing.B, bench func(*testing.B, *Executor)) {
	b.Run("wazero", func(b *testing.B) { bench(b, open(b, Config{Wazero: true})) })
	b.Run("wasmer", func(b *testing.B) { bench(b, open(b, Config{Runner: runnerDir(b)})) })
}

func runs(b *testing.B, x *Executor, tk executor.Task) {
	b.Helper()
	for range 2 { // compiled, and its sum known
		if _, err := x.Run(b.Context(), tk); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if r, err := x.Run(b.Context(), tk); err != nil || !r.OK() {
			b.Fatalf("got %+v, error %v", r, err)
		}
	}
}

// BenchmarkTiny is a C program that says a word: all of it is starting and
// ending a child.
func BenchmarkTiny(b *testing.B) {
	engines(b, func(b *testing.B, x *Executor) { runs(b, x, task(b, guests.C(b, "testdata/tiny.c"))) })
}

// BenchmarkGo is a Go program of 2.6 MB that says a word.
func BenchmarkGo(b *testing.B) {
	engines(b, func(b *testing.B, x *Executor) { runs(b, x, task(b, guests.Go(b, probe), "print=x")) })
}

// BenchmarkCold compiles the Go program too.
func BenchmarkCold(b *testing.B) {
	engines(b, func(b *testing.B, x *Executor) {
		tk := task(b, guests.Go(b, probe), "print=x")
		for b.Loop() {
			x.cache.mu.Lock()
			for _, e := range x.cache.entries {
				x.cache.drop(e)
			}
			x.cache.mu.Unlock()
			if r, err := x.Run(b.Context(), tk); err != nil || !r.OK() {
				b.Fatalf("got %+v, error %v", r, err)
			}
		}
	})
}

// BenchmarkCall is one call of the system, on average of many.
func BenchmarkCall(b *testing.B) {
	const calls = 1_000_000
	engines(b, func(b *testing.B, x *Executor) {
		runs(b, x, task(b, save(b, yields(calls))))
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/calls, "ns/call")
	})
}
