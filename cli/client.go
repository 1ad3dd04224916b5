package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node"
	"github.com/shoal-mesh/shoal/node/api"
)

const rootHome = "/var/lib/shoal"

func (p *program) homeFlag() cli.Flag {
	return &cli.StringFlag{Name: "home", EnvVars: []string{"SHOAL_HOME"}, Usage: "the node's `DIR`", DefaultText: "~/.shoal, or " + rootHome + " for root"}
}

// homeOf is the home that a command is about.
func (p *program) homeOf(c *cli.Context) (string, error) {
	// Hints repeat --home only where it was typed: SHOAL_HOME stays set.
	if home := c.String("home"); home != "" {
		if home != os.Getenv("SHOAL_HOME") {
			p.home = home
		}
		return home, nil
	}
	if os.Geteuid() == 0 {
		return rootHome, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usage("where the node's files are is not known (%v); say it with --home or SHOAL_HOME", err)
	}
	return filepath.Join(home, ".shoal"), nil
}

// client asks the local node.
func (p *program) client(c *cli.Context) (*api.Client, error) {
	home, err := p.homeOf(c)
	if err != nil {
		return nil, err
	}
	return api.NewClient(node.SocketPath(home)), nil
}

// command is a command line that a person can copy: it asks the same node.
func (p *program) command(words ...string) string {
	line := p.name + " " + strings.Join(words, " ")
	if p.home != "" {
		line += " --home " + shellQuote(p.home)
	}
	return line
}

// patience is how long a node that answered before may be away, for instance
// to be started anew.
const patience = 30 * time.Second

// again calls f, and calls it again when the connection broke, until it comes
// to an end of its own, ctx ends, or the node was away for as long as patience
// has. Where there is no node and never was one, it returns at once. f must go
// on where it was when it is called again.
func (p *program) again(ctx context.Context, f func() error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 2*time.Second
	var away time.Time // since when
	for first := true; ; first = false {
		started := time.Now()
		err := f()
		switch {
		case err == nil || ctx.Err() != nil || api.CodeOf(err) != api.CodeUnreachable:
			p.met = true
			return err
		case !p.met && nobody(err):
			return err
		case first || time.Since(started) > time.Second:
			p.say("the connection to the node broke off; trying again …")
			p.met, away = true, time.Now()
			pause.Reset()
		case time.Since(away) > patience:
			return fmt.Errorf("tried for %v: %w", patience, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// nobody reports whether err says that no node can be there.
func nobody(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOTSOCK) || errors.Is(err, syscall.EINVAL)
}
