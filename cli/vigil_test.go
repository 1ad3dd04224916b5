package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-mesh/shoal/node/api"
)

const theJob = "k7q2e00000001"

// impatient runs a command line as run does, with little patience.
func impatient(t *testing.T, home string, args ...string) (code int, stderr string) {
	t.Helper()
	var out, errs lockedBuffer
	p := &program{name: "node", in: strings.NewReader(""), out: &out, err: &errs, patience: 20 * time.Millisecond}
	err := p.run(t.Context(), append([]string{"node", "--home", home}, args...))
	return p.exit(err), errs.String()
}

// hanging is a fake node with a job that runs until it is cancelled.
func hanging(t *testing.T) (f *fakeNode, home string) {
	t.Helper()
	home = t.TempDir()
	f = startFake(t, home)
	if code, _, stderr := run(t.Context(), "submit", jobFolder(t, "hang"), "--home", home); code != 0 {
		t.Fatal(stderr)
	}
	return f, home
}

// absences are what a node says of a job while the node that holds it is away.
var absences = map[string]error{
	"broken":  api.Errorf(api.CodeUnreachable, "the connection to peer k9PzR4tM broke off"),
	"silent":  api.Errorf(api.CodeUnavailable, "job %q is in the ledger of peer k9PzR4tM, which is not there just now", theJob),
	"unknown": api.Errorf(api.CodeNotFound, "no live peer knows a job %q", theJob),
}

// scripted is a refuse that goes through the steps of each call, and then lets it
// be.
func scripted(steps map[string][]func() error) func(string) error {
	var mu sync.Mutex
	return func(call string) error {
		mu.Lock()
		defer mu.Unlock()
		if len(steps[call]) == 0 {
			return nil
		}
		step := steps[call][0]
		steps[call] = steps[call][1:]
		return step()
	}
}

func fine() error                    { return nil }
func is(absence string) func() error { return func() error { return absences[absence] } }

// TestOwnerComesBack: the node that holds the job is started anew while others
// wait for the job, and nobody loses it.
func TestOwnerComesBack(t *testing.T) {
	for _, test := range []struct {
		call, waiting string
		code          int
		args          []string
	}{
		{"watch", "watching", 1, []string{"wait", theJob}},
		{"logs", "logging", 0, []string{"logs", "-f", theJob}},
	} {
		t.Run(test.args[0], func(t *testing.T) {
			f, home := hanging(t)
			end := func() error {
				_, err := f.Cancel(t.Context(), theJob)
				return err
			}
			f.refuse = scripted(map[string][]func() error{
				test.call:    {fine, is("silent"), is("unknown"), is("broken")},
				test.waiting: {is("broken"), end},
			})
			code, stdout, stderr := run(t.Context(), append(test.args, "--home", home)...)
			if code != test.code || strings.Count(stdout, "\n") != 2-test.code {
				t.Errorf("exit %d, want %d; stdout %q", code, test.code, stdout)
			}
			if strings.Count(stderr, "the node that holds job "+theJob+" is away; trying again for 30s …\n") != 1 || strings.Contains(stderr, "broke off") {
				t.Errorf("stderr is %q", stderr)
			}
		})
	}
}

// TestOwnerStaysAway: after a while there is an end to it, which is never the
// code for wrong use, and the job is said to go on.
func TestOwnerStaysAway(t *testing.T) {
	for absence, err := range absences {
		for _, line := range []string{"wait " + theJob, "logs -f " + theJob, "wait --timeout 5ms " + theJob} {
			t.Run(absence+" "+line, func(t *testing.T) {
				f, home := hanging(t)
				asks, waits := "watch", "watching"
				if strings.HasPrefix(line, "logs") {
					asks, waits = "logs", "logging"
				}
				var away atomic.Bool
				f.refuse = func(call string) error {
					switch {
					case call == waits:
						away.Store(true)
						return absences["broken"]
					case call == asks && away.Load():
						return err
					}
					return nil
				}
				want, says := 3, "did not help: "+api.Plain(err.Error())
				if strings.Contains(line, "timeout") {
					want, says = 4, "has not ended after 5ms"
				}
				code, stderr := impatient(t, home, strings.Fields(line)...)
				if code != want || !strings.Contains(stderr, says) || !strings.Contains(stderr, "job "+theJob+" goes on; follow it again with: node logs -f "+theJob+" --home "+home+"\n") {
					t.Errorf("exit %d, want %d; stderr %q", code, want, stderr)
				}
			})
		}
	}
}

// TestUnknownJob: a job that nobody knows is not waited for.
func TestUnknownJob(t *testing.T) {
	home := t.TempDir()
	startFake(t, home)
	for _, line := range []string{"wait zzz", "logs -f zzz", "logs zzz", "describe zzz", "cancel zzz", "get zzz"} {
		code, _, stderr := run(t.Context(), append(strings.Fields(line), "--home", home)...)
		if code != 1 || stderr != "node: no job has an ID that begins with \"zzz\"\n" {
			t.Errorf("%s: exit %d, stderr %q", line, code, stderr)
		}
	}
}

// TestNodeStops: the local node is stopped in good order under those who wait,
// and they go on with the one that is started in its place.
func TestNodeStops(t *testing.T) {
	for _, back := range []bool{true, false} {
		t.Run(fmt.Sprintf("back %v", back), func(t *testing.T) {
			home := t.TempDir()
			f := newFake()
			stop := f.start(t, home)
			if code, _, stderr := run(t.Context(), "submit", jobFolder(t, "hang"), "--home", home); code != 0 {
				t.Fatal(stderr)
			}
			var restart sync.WaitGroup
			errs := &until{word: "running on peer", then: func() {
				restart.Go(func() {
					stop()
					if back {
						f.start(t, home)
						_, _ = f.Cancel(t.Context(), theJob)
					}
				})
			}}
			p := &program{name: "node", out: io.Discard, err: errs, patience: 50 * time.Millisecond}
			if back {
				p.patience = time.Minute
			}
			code := p.exit(p.run(t.Context(), []string{"node", "wait", theJob, "--home", home}))
			restart.Wait()
			says := "the connection to the node broke off; trying again for 1m0s …\n"
			want := 1
			if !back {
				says, want = "(no such file or directory): none runs with this home. Start it with: node serve --home "+home+"\n", 3
				if !strings.Contains(errs.String(), "job "+theJob+" goes on; follow it again with") {
					t.Errorf("stderr %q lacks the hint", errs.String())
				}
			}
			if got := errs.String(); code != want || !strings.Contains(got, says) || strings.Contains(got, "context") {
				t.Errorf("exit %d, want %d; stderr %q", code, want, got)
			}
		})
	}
}

// TestIdleJob: who waits for a job that no peer can take is told so.
func TestIdleJob(t *testing.T) {
	for _, line := range []string{"submit --wait", "submit --follow", "wait " + theJob, "logs -f " + theJob} {
		t.Run(line, func(t *testing.T) {
			home := t.TempDir()
			f := startFake(t, home)
			file := jobFolder(t, "wait")
			args := append(strings.Fields(line), "--home", home)
			if args[0] == "submit" {
				args = append(args, file)
			} else if code, _, stderr := run(t.Context(), "submit", file, "--home", home); code != 0 {
				t.Fatal(stderr)
			}
			errs := &until{word: "waiting: no peer has region=mars\n", then: func() { _, _ = f.Cancel(t.Context(), theJob) }}
			code := Run(t.Context(), append([]string{"node"}, args...), nil, io.Discard, errs)
			if want := map[bool]int{true: 0, false: 1}[args[0] == "logs"]; code != want {
				t.Errorf("exit %d, want %d; stderr %q", code, want, errs.String())
			}
		})
	}
}

// TestMessage: an error is one line, with what to do at its end.
func TestMessage(t *testing.T) {
	for _, test := range []struct {
		p    program
		err  error
		want string
	}{
		{program{name: "node"}, errors.New("start: all dials failed\n  * [/ip4/10.0.0.7] refused\n  * [/ip4/10.0.0.8] refused"),
			"node: start: all dials failed; [/ip4/10.0.0.7] refused; [/ip4/10.0.0.8] refused"},
		{program{name: "shoal"}, fmt.Errorf("join: %w", context.DeadlineExceeded), "shoal: join: it took too long"},
		{program{name: "node", asks: true, home: "/srv/my shoal"}, api.Errorf(api.CodeUnreachable, "no node answers (%w)", fs.ErrNotExist),
			"node: no node answers (file does not exist). Start it with: node serve --home '/srv/my shoal'"},
		{program{name: "node"}, api.Errorf(api.CodeUnreachable, "nobody answers there (%w)", fs.ErrNotExist), "node: nobody answers there (file does not exist)"},
	} {
		if got := test.p.message(test.err); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
