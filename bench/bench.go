package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// crowd is how many processes the largest swarm of a run has.
const crowd = 20

// bench is one run: its scratch folder and the nodes that live now.
type bench struct {
	options
	dir     string
	homes   int
	running map[*process]bool
}

func newBench(o options) (*bench, error) {
	for _, f := range []string{o.binary, o.module} {
		if _, err := os.Stat(f); err != nil {
			return nil, fmt.Errorf("%w; run make build examples", err)
		}
	}
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return nil, err
	}
	o.binary = binary
	// A short path: the socket of a node lies in its home, and those may not be long.
	dir, err := os.MkdirTemp("", "shoal-bench-")
	if err != nil {
		return nil, err
	}
	return &bench{options: o, dir: dir, running: make(map[*process]bool)}, nil
}

func (b *bench) close() error {
	var errs []error
	for p := range b.running {
		errs = append(errs, b.stop(p))
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

// home is a folder that is not there yet.
func (b *bench) home() string {
	b.homes++
	return filepath.Join(b.dir, strconv.Itoa(b.homes))
}

// start measures from the start of the process to the first /readyz of 200.
func (b *bench) start(ctx context.Context, r *report) error {
	var fresh, existing sample
	for range b.starts {
		home := b.home()
		for _, s := range []*sample{&fresh, &existing} {
			begin := time.Now()
			p, err := b.launch(home, nil, "--private", "--initial")
			if err != nil {
				return err
			}
			if err := p.ready(ctx); err != nil {
				return err
			}
			*s = append(*s, time.Since(begin))
			if err := b.stop(p); err != nil {
				return err
			}
		}
	}
	r.add("start to `/readyz` 200, fresh home, median / p90", fresh.String())
	r.add("start to `/readyz` 200, existing home, median / p90", existing.String())
	return nil
}

// memory measures a node that has nothing to do, alone and among three.
func (b *bench) memory(ctx context.Context, r *report) error {
	alone, err := b.launch(b.home(), nil, "--private", "--initial")
	if err != nil {
		return err
	}
	if err := alone.ready(ctx); err != nil {
		return err
	}
	if err := rest(ctx, b.idle); err != nil {
		return err
	}
	if err := addMemory(r, fmt.Sprintf("idle RSS, alone, after %s", b.idle), alone); err != nil {
		return err
	}
	return b.stop(alone)
}

func addMemory(r *report, what string, p *process) error {
	resident, anonymous, err := p.memory()
	if err != nil {
		return err
	}
	r.add(what, fmt.Sprintf("%s, of which %s its own", mb(resident), mb(anonymous)))
	return nil
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join measures from the start of the joining processes until every roster
// shows everybody: for one joiner, for two at once, and for as many as make a
// swarm of twenty.
func (b *bench) join(ctx context.Context, r *report) error {
	for _, joiners := range []int{1, 2, crowd - 1} {
		var s sample
		for range b.starts {
			d, nodes, err := b.swarm(ctx, joiners)
			if err != nil {
				return err
			}
			s = append(s, d)
			if err := b.stopAll(nodes); err != nil {
				return err
			}
		}
		r.add(fmt.Sprintf("start of %d joining process(es) until all %d rosters are full, median / p90", joiners, joiners+1), s.String())
	}
	return nil
}

// swarm founds a private swarm and lets joiners join it, all at once; it returns
// the time that took once the founder was up.
func (b *bench) swarm(ctx context.Context, joiners int) (time.Duration, []*process, error) {
	founder, err := b.launch(b.home(), nil, "--private", "--initial")
	if err != nil {
		return 0, nil, err
	}
	if err := founder.ready(ctx); err != nil {
		return 0, nil, err
	}
	token, err := founder.client.Token(ctx, time.Hour)
	if err != nil {
		return 0, nil, err
	}
	nodes := []*process{founder}
	begin := time.Now()
	for range joiners {
		p, err := b.launch(b.home(), []string{"SHOAL_TOKEN=" + token.Token}, "--join", founder.api)
		if err != nil {
			return 0, nil, err
		}
		nodes = append(nodes, p)
	}
	for _, p := range nodes {
		if err := p.ready(ctx); err != nil {
			return 0, nil, err
		}
		if err := p.sees(ctx, len(nodes)); err != nil {
			return 0, nil, err
		}
	}
	return time.Since(begin), nodes, nil
}
