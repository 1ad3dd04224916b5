package node

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/shoal-mesh/shoal/storage"
)

func TestInputsTellHowLongTheyTakeYet(t *testing.T) {
	core, seen := observer.New(zapcore.InfoLevel)
	now := time.Unix(1e9, 0)
	see := tellProgress(zap.New(core), "ipfs://bafy", func() time.Time { return now })
	for range 201 {
		p := storage.Progress{Total: 100 << 20, Done: int64(now.Unix()-1e9) << 20}
		see(p)
		now = now.Add(50 * time.Millisecond)
	}
	if seen.Len() != 2 {
		t.Fatalf("10 seconds are told of %d times, want twice", seen.Len())
	}
	last := seen.All()[1].ContextMap()
	if last["ref"] != "ipfs://bafy" || last["total"] != "100MiB" || last["done"] != "10MiB" || last["left"] != 90*time.Second {
		t.Errorf("it says %v", last)
	}
	see = tellProgress(zap.New(core), "ipfs://bafy", func() time.Time { return now })
	see(storage.Progress{Total: 10})
	now = now.Add(inputsEvery)
	see(storage.Progress{Total: 10}) // nothing came: no rate, and no time left that could be told
	if last := seen.All()[2].ContextMap(); last["left"] != nil {
		t.Errorf("it says %v", last)
	}
}
