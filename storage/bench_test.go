package storage

import (
	"crypto/rand"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"go.uber.org/zap"
)

func BenchmarkOpen(b *testing.B) {
	p := newHost(b)
	before := runtime.NumGoroutine()
	for b.Loop() {
		p.dir = filepath.Join(b.TempDir(), "ipfs")
		s, err := Open(b.Context(), p.config(), zap.NewNop())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(runtime.NumGoroutine()-before), "goroutines")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// Between two peers on loopback, of content that neither had before.
func BenchmarkPutAndFetch(b *testing.B) {
	for name, size := range map[string]int{"4KiB": 4 << 10, "256MiB": 256 << 20} {
		for _, op := range []string{"put", "fetch"} {
			b.Run(op+"/"+name, func(b *testing.B) {
				one, two := newPeer(b), newPeer(b)
				connect(b, one, two)
				dir := b.TempDir()
				data := make([]byte, size)
				b.SetBytes(int64(size))
				for i := 0; b.Loop(); i++ {
					b.StopTimer()
					if _, err := rand.Read(data); err != nil {
						b.Fatal(err)
					}
					src := write(b, filepath.Join(dir, "src"), string(data))
					if op == "put" {
						b.StartTimer()
					}
					c := mustPut(b, one.Store, src)
					b.StartTimer()
					if op == "fetch" {
						if err := two.Fetch(b.Context(), c, filepath.Join(dir, strconv.Itoa(i))); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}
