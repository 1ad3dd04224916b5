package cli_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// wiretap is somebody on the way to a node who hears all that is asked, and can
// say it again.
type wiretap struct {
	node     string // host:port
	listener net.Listener
	open     sync.WaitGroup

	mu   sync.Mutex
	last *bytes.Buffer // what came over the latest connection
}

// relay passes connections on until the listener is closed.
func (w *wiretap) relay() {
	for {
		in, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.open.Go(func() {
			defer in.Close()
			out, err := net.Dial("tcp", w.node)
			if err != nil {
				return
			}
			defer out.Close()
			heard := new(bytes.Buffer)
			w.mu.Lock()
			w.last = heard
			w.mu.Unlock()
			w.open.Go(func() { // ends when one of the two hangs up
				_, _ = io.Copy(io.MultiWriter(out, w.locked(heard)), in)
			})
			_, _ = io.Copy(in, out)
		})
	}
}

// locked is heard for a goroutine that is not alone.
func (w *wiretap) locked(heard *bytes.Buffer) io.Writer { return lockedHearing{w, heard} }

type lockedHearing struct {
	w     *wiretap
	heard *bytes.Buffer
}

func (l lockedHearing) Write(b []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.heard.Write(b)
}

func (w *wiretap) close() {
	_ = w.listener.Close()
	w.open.Wait()
}

func tap(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	w := &wiretap{node: ts.Getenv(args[0] + "_API"), listener: l}
	theSwarm(ts).taps[args[0]] = w
	w.open.Go(w.relay)
	ts.Setenv(args[0]+"_TAP", l.Addr().String())
}

func resend(ts *testscript.TestScript, _ bool, args []string) {
	w := theSwarm(ts).taps[args[0]]
	w.mu.Lock()
	request := bytes.Clone(w.last.Bytes())
	w.mu.Unlock()
	to := w.node
	switch {
	case len(args) == 4 && args[1] == "swap":
		if !bytes.Contains(request, []byte(args[2])) {
			ts.Fatalf("%q is not in the request that was heard:\n%s", args[2], request)
		}
		request = bytes.Replace(request, []byte(args[2]), []byte(args[3]), 1)
	case len(args) == 3 && args[1] == "at":
		to = ts.Getenv(args[2] + "_API")
	}
	conn, err := net.Dial("tcp", to)
	ts.Check(err)
	defer conn.Close()
	_, err = conn.Write(request)
	ts.Check(err)
	answer, err := io.ReadAll(conn) // requests of the client say "Connection: close"
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("resent"), answer, 0o600))
}
