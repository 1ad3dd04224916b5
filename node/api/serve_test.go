package api

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The whole way, over the socket: answers while it runs, ends streams when it
// stops, and leaves nothing running.
func TestServeOnTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	l, err := ListenSocket(path)
	wantNo(t, err)
	ended := make(chan struct{})
	f := &fake{ready: true, watch: func(ctx context.Context, id string, see func(job.Job) error) error {
		defer close(ended)
		_ = see(aJob(id, job.Running))
		<-ctx.Done()
		return ctx.Err()
	}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, Local(f, zapNop), zapNop) }()

	c := NewClient(path)
	wantNo(t, c.Ready(t.Context()))
	err = c.Watch(t.Context(), "k7q2", func(job.Job) error { stop(); return nil })
	if CodeOf(err) != CodeUnavailable {
		t.Errorf("the stream ended with %v", err)
	}
	wantNo(t, <-served)
	select {
	case <-ended:
	default:
		t.Error("Serve returned before its handlers")
	}
	if err := c.Ready(t.Context()); CodeOf(err) != CodeUnreachable {
		t.Errorf("after the end: %v", err)
	}
}

func TestServeTellsAboutItsListener(t *testing.T) {
	l, err := ListenSocket(filepath.Join(t.TempDir(), "api.sock"))
	wantNo(t, err)
	wantNo(t, l.Close())
	if err := Serve(t.Context(), l, Public(&fake{}, zapNop), zapNop); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
