package api

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
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
	if CodeOf(err) != CodeUnreachable || Answered(err) || strings.Contains(err.Error(), "context") {
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

// A node that stops breaks off what it did not come to, whatever its parts say
// of it, and still says what it has found out.
func TestStopBreaksOff(t *testing.T) {
	for name, c := range map[string]struct {
		err  func(context.Context) error
		want Code
	}{
		"called off":     {func(ctx context.Context) error { return fmt.Errorf("look: %w", ctx.Err()) }, CodeUnreachable},
		"a part stopped": {func(context.Context) error { return Errorf(CodeUnavailable, "the scheduler has stopped") }, CodeUnreachable},
		"not found":      {func(context.Context) error { return Errorf(CodeNotFound, "there is no job") }, CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "api.sock")
			l, err := ListenSocket(path)
			wantNo(t, err)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			f := &fake{job: func(ctx context.Context, _ string) (job.Job, error) {
				stop()
				<-ctx.Done()
				return job.Job{}, c.err(ctx)
			}}
			served := make(chan error, 1)
			go func() { served <- Serve(ctx, l, Local(f, zapNop), zapNop) }()
			_, err = NewClient(path).Job(t.Context(), "k7q2")
			if CodeOf(err) != c.want || Answered(err) != (c.want == CodeNotFound) {
				t.Errorf("got %v", err)
			}
			wantNo(t, <-served)
		})
	}
}

func TestServeTellsAboutItsListener(t *testing.T) {
	l, err := ListenSocket(filepath.Join(t.TempDir(), "api.sock"))
	wantNo(t, err)
	wantNo(t, l.Close())
	if err := Serve(t.Context(), l, Public(&fake{}, nobody, zapNop), zapNop); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
