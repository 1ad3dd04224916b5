package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/shoal-mesh/shoal/node/api"
)

// Everything below happens within this time, or the run ends with an error.
const patience = 30 * time.Second

// process is a node that this program started.
type process struct {
	home, api string
	client    *api.Client
	cmd       *exec.Cmd
	ended     chan struct{} // closed once it has ended and err is set
	err       error
	log       *bytes.Buffer // what it wrote; read it when ended is closed
}

// launch starts a node in home, on free ports of loopback. It returns at once.
func (b *bench) launch(home string, env []string, args ...string) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := &process{home: home, api: address, client: api.NewClient(filepath.Join(home, "api.sock")), ended: make(chan struct{}), log: new(bytes.Buffer)}
	p.cmd = exec.Command(b.binary, append([]string{"serve", "--home", home, "--api", address, "--listen", "/ip4/127.0.0.1/tcp/0"}, args...)...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	b.running[p] = true
	return p, nil
}

// ready waits until the node takes jobs.
func (p *process) ready(ctx context.Context) error {
	public := api.NewClient("http://" + p.api)
	return p.until(ctx, "ready", func(ctx context.Context) (bool, error) {
		err := public.Ready(ctx)
		return err == nil, err
	})
}

// sees waits until the node's roster has n peers, itself included.
func (p *process) sees(ctx context.Context, n int) error {
	return p.until(ctx, fmt.Sprintf("aware of %d peers", n), func(ctx context.Context) (bool, error) {
		peers, err := p.client.Peers(ctx)
		return len(peers) >= n, err
	})
}

// until asks is every two milliseconds until it is true.
func (p *process) until(ctx context.Context, what string, is func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := is(ctx)
		if ok && err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return fmt.Errorf("the node ended before it was %s: %v\n%s", what, p.err, p.log)
		case <-ctx.Done():
			return fmt.Errorf("the node was not %s within %s: %w", what, patience, errors.Join(ctx.Err(), err))
		}
	}
}

// stop ends the node as an operator does, and waits until it is gone.
func (b *bench) stop(p *process) error { return b.stopAll([]*process{p}) }

// stopAll ends nodes side by side.
func (b *bench) stopAll(nodes []*process) error {
	for _, p := range nodes {
		delete(b.running, p)
	}
	return each(len(nodes), len(nodes), func(i int) error { return nodes[i].stop() })
}

func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("the node did not end cleanly: %w\n%s", p.err, p.log)
		}
		return nil
	case <-time.After(patience):
		p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("the node did not end within %s of SIGTERM", patience)
	}
}

// memory is the resident memory of the process, and the part of it that is not
// pages of the binary.
func (p *process) memory() (resident, anonymous int64, err error) {
	status := filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status")
	read := func(name string) int64 {
		n, e := strconv.ParseInt(strings.TrimSuffix(field(status, name), " kB"), 10, 64)
		err = errors.Join(err, e)
		return n * 1024
	}
	return read("VmRSS"), read("RssAnon"), err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
