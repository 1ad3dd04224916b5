package executor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/shoal-mesh/shoal/executor"
	"github.com/shoal-mesh/shoal/executor/fake"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// says is an executor with one answer, and a program that does a thing to its
// output.
type says struct {
	result job.Result
	err    error
	do     func(output string) error
}

func (s says) Run(_ context.Context, t executor.Task) (job.Result, error) {
	if s.do != nil {
		if err := s.do(t.Mounts[0].Host); err != nil {
			return job.Result{}, err
		}
	}
	return s.result, s.err
}

// withOutput is a job with one output.
func withOutput() job.Spec {
	sp := spec()
	sp.Outputs = []job.OutputDir{{Name: "one", At: "/out"}}
	return sp
}

// Guests and broken children have a say in results. What they say is kept in
// ledgers, which hold text alone, and shown on terminals.
func TestRunnerResultsAreText(t *testing.T) {
	t.Parallel()
	bad := "a\xff\x1b[2J\n" + strings.Repeat("long ", 99999)
	for name, x := range map[string]says{
		"result": {result: job.Result{Error: bad}},
		"error":  {err: fmt.Errorf("%s: %w", bad, context.Canceled)},
		"link":   {do: func(dir string) error { return os.Symlink("x", filepath.Join(dir, "a\xff")) }},
	} {
		r, s := newRunner(t, t.TempDir(), x)
		got, err := r.Run(t.Context(), owner, attempt(1), withOutput(), func() {})
		text := got.Error
		if err != nil {
			text = err.Error()
		}
		if text == "" || !utf8.ValidString(text) || strings.ContainsAny(text, "\x1b\n") || len(text) > 1000 || len(s.put) > 0 {
			t.Errorf("%s: got %d bytes, %q…; published %v", name, len(text), text[:min(100, len(text))], s.put)
		}
		if x.err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: it is no longer what it was: %v", name, err)
		}
		if x.do != nil && !strings.Contains(text, `output one cannot be published: "a\xff" is neither`) {
			t.Errorf("%s: got %s", name, text)
		}
	}
}

// What the store will never take is the job's own fault; what it cannot take is
// this machine's.
func TestRunnerRefusedOutputs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		put        func(ctx context.Context, path string) error
		fault, err string
	}{
		{"refused", func(_ context.Context, path string) error {
			return fmt.Errorf("storing %s: %w", path, refusal(fmt.Sprintf("%q cannot be stored: its setuid bit is set", path+"/x")))
		}, `output one cannot be published: storing one: "one/x" cannot be stored: its setuid bit is set`, ""},
		{"broken", func(context.Context, string) error { return errors.New("the disk is full") }, "", "publishing output one: the disk is full"},
	} {
		r, s := newRunner(t, t.TempDir(), &fake.Executor{})
		s.putting = c.put
		got, err := r.Run(t.Context(), owner, attempt(1), withOutput(), func() {})
		if got.Error != c.fault || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%s: got %+v, error %v", c.name, got, err)
		}
	}
}

// A peer that gives bytes ever so slowly does not hold the attempt for ever.
func TestRunnerBoundsTransfers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		change  func(*job.Spec, *store)
		timeout time.Duration
		want    string
		after   time.Duration
	}{
		{"module", func(sp *job.Spec, _ *store) { sp.Task.WASM.Module = ref("slow") }, time.Second,
			"fetching the module " + ref("slow") + ": fetching took longer than 10m0s", 10 * time.Minute},
		{"input", func(sp *job.Spec, _ *store) { sp.Inputs = []job.Input{{From: ref("slow"), At: "/in"}} }, 0,
			"fetching the input " + ref("slow") + " for /in: fetching took longer than 1h0m0s", time.Hour},
		{"output", func(_ *job.Spec, s *store) {
			s.putting = func(ctx context.Context, _ string) error {
				<-ctx.Done()
				return ctx.Err()
			}
		}, 20 * time.Minute, "publishing output one: publishing took longer than 20m0s", 20 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, s := newRunner(t, t.TempDir(), &fake.Executor{})
				sp := withOutput()
				sp.Timeout = job.Duration(c.timeout)
				c.change(&sp, s)
				began := time.Now()
				got, err := r.Run(t.Context(), owner, attempt(1), sp, func() {})
				if err == nil || !strings.HasPrefix(err.Error(), c.want) || got.Error != "" || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %+v, error %v, want %s", got, err, c.want)
				}
				if took := time.Since(began); took != c.after {
					t.Errorf("it took %s, want %s", took, c.after)
				}
			})
		})
	}
}
