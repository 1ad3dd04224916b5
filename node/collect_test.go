package node

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// Every peer collects its garbage again and again, while all of them submit jobs
// whose inputs lie elsewhere, and fetch the results of one another. No job fails or
// is tried twice, and every result is whole, also when all is over.
func TestCollectingWhileJobsRun(t *testing.T) {
	t.Parallel()
	a, b, c := three(t)
	peers := []*running{a, b, c}
	shared := a.add("shared.txt", []byte("for all\n"))
	stop := collecting(t, peers)

	made := make([]string, 2*len(peers)) // results, by the number of the job
	said := func(n int) string { return fmt.Sprintf("result %d\n", n) }
	var users sync.WaitGroup
	for i, r := range peers {
		next := peers[(i+1)%len(peers)]
		users.Go(func() {
			for n := i; n < len(made); n += len(peers) {
				own := fmt.Sprintf("input %d\n", n)
				s := r.job("cat", "/inputs/own", "cat", "/inputs/shared", "write", "/outputs/result/said", said(n))
				s.Spec.Inputs = []job.Input{
					{From: "ipfs://" + next.add("own", []byte(own)), At: "/inputs/own"},
					{From: "ipfs://" + shared, At: "/inputs/shared"},
				}
				s.Spec.Outputs = []job.OutputDir{{Name: "result", At: "/outputs/result"}}
				s.Spec.Resources = job.Resources{CPU: 1, Memory: 32 << 20} // so little that no peer declines
				id := r.submit(s)
				j := r.wait(id)
				task := j.Tasks[0]
				if j.State() != job.Done || task.Attempt != 1 || len(task.Result.Outputs) != 1 {
					t.Errorf("job %d is %s after attempt %d, %q, %+v", n, j.State(), task.Attempt, j.Reason, task.Result)
					return
				}
				if stdout, _ := r.output(id, api.LogOptions{}); stdout != own+"for all\n" {
					t.Errorf("job %d read %q", n, stdout)
				}
				made[n] = task.Result.Outputs[0].CID
				if got := next.files(made[n])["said"]; got != said(n) {
					t.Errorf("the result of job %d holds %q", n, got)
				}
			}
		})
	}
	users.Wait()
	if n := stop(); n == 0 {
		t.Error("nothing was there to be collected")
	}
	for n, result := range made {
		if result == "" {
			continue // the job's failure was reported
		}
		if got := peers[n%len(peers)].files(result)["said"]; got != said(n) {
			t.Errorf("when all was over, the result of job %d holds %q", n, got)
		}
	}
}

// collecting has every peer collect garbage until stop is called, which returns
// how many blocks it was.
func collecting(t *testing.T, peers []*running) (stop func() int64) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var blocks atomic.Int64
	for _, r := range peers {
		all.Go(func() {
			for ctx.Err() == nil {
				got, err := r.Collect(ctx, false)
				if err != nil && ctx.Err() == nil {
					t.Errorf("collecting at %s: %v", r.cfg.Labels["site"], err)
					return
				}
				blocks.Add(int64(got.Blocks))
			}
		})
	}
	return func() int64 { cancel(); all.Wait(); return blocks.Load() }
}
