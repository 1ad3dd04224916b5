package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Limits on connections. There is none on writing: streams last as long as
// jobs, and a reader may rest.
const (
	headerTime = 10 * time.Second // for a request's header
	idleTime   = 15 * time.Second // between two requests: strangers hold connections too
	stopTime   = time.Second      // for answers under way when the node stops, of which all takes five at most
	maxHeader  = 32 << 10         // bytes of a request's header
)

// Serve answers on l with h until ctx ends or l fails, and then closes l. The
// requests' contexts end with ctx, which ends streams, as broken ones; answers
// under way get a second. When it returns, no handler is running. Its error is nil when
// ctx ended it.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *zap.Logger) error {
	std, err := zap.NewStdLogAt(log, zap.DebugLevel)
	if err != nil {
		return fmt.Errorf("serving the API: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	gate := &gate{next: h}
	srv := &http.Server{
		Handler:           gate,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          std, // what strangers send wrong is no event of ours
		BaseContext:       func(net.Listener) context.Context { return context.WithValue(ctx, servingKey{}, ctx) },
	}
	var closing sync.WaitGroup
	closing.Go(func() {
		<-ctx.Done()
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer done()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close()
		}
	})
	err = srv.Serve(l)
	cancel()
	closing.Wait()
	gate.close()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving the API at %s: %w", l.Addr(), err)
}

// servingKey is the key, in a request's context, of the one that the server ends
// with.
type servingKey struct{}

// stopping reports whether the server of the request with ctx stops.
func stopping(ctx context.Context) bool {
	serving, ok := ctx.Value(servingKey{}).(context.Context)
	return ok && serving.Err() != nil
}

// gate knows when no handler runs any more: each holds it for reading.
type gate struct {
	next http.Handler
	mu   sync.RWMutex
	shut bool
}

func (g *gate) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.shut {
		panic(http.ErrAbortHandler)
	}
	g.next.ServeHTTP(w, req)
}

// close waits for the handlers and lets no other in.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
}
