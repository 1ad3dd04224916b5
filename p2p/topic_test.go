package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	"github.com/multiformats/go-multiaddr"
)

// pair is two meshes that know each other.
func pair(t *testing.T) (a, b *testMesh) {
	t.Helper()
	key, say := testKey(t), map[string]string{"n": "1"}
	a = start(t, Config{SwarmKey: key, Labels: say})
	b = start(t, Config{SwarmKey: key, Labels: say, Bootstrap: []peer.AddrInfo{a.info()}})
	a.waitPeer(t, b.id())
	b.waitPeer(t, a.id())
	return a, b
}

func joinText(t *testing.T, m *testMesh, dec func(peer.ID, []byte) (string, error)) *Topic[string] {
	t.Helper()
	topic, err := Join(m.Mesh, "text", func(s string) ([]byte, error) { return []byte(s), nil }, dec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := topic.Close(); err != nil {
			t.Error(err)
		}
	})
	return topic
}

// awaitTopicPeer returns once a publication of one reaches the other.
func awaitTopicPeer(t *testing.T, topic *Topic[string]) {
	t.Helper()
	ctx := deadline(t)
	for len(topic.topic.ListPeers()) == 0 {
		select {
		case <-topic.PeersChanged():
		case <-ctx.Done():
			t.Fatal("no peer in the topic")
		}
	}
}

func TestTopicRoundTrip(t *testing.T) {
	a, b := pair(t)
	refused := make(chan string, 10)
	plain := func(_ peer.ID, b []byte) (string, error) { return string(b), nil }
	strict := func(from peer.ID, b []byte) (string, error) {
		s := string(b)
		if from == a.id() && strings.HasPrefix(s, "bad") {
			refused <- s
			return "", errors.New("malformed")
		}
		if s == "later version" {
			return "", ErrIgnore
		}
		return s, nil
	}
	ta, tb := joinText(t, a, plain), joinText(t, b, strict)
	awaitTopicPeer(t, ta)
	awaitTopicPeer(t, tb)
	ctx := deadline(t)
	for _, s := range []string{"later version", "bad", "hello"} {
		if err := ta.Publish(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	from, got, err := tb.Next(ctx)
	if err != nil || from != a.id() || got != "hello" {
		t.Fatalf("from %s: %q, %v", from, got, err)
	}
	// b's own publications are not delivered to b; a's answer is.
	if err := tb.Publish(ctx, "from b"); err != nil {
		t.Fatal(err)
	}
	if from, got, err := ta.Next(ctx); err != nil || from != b.id() || got != "from b" {
		t.Fatalf("from %s: %q, %v", from, got, err)
	}
	if err := ta.Publish(ctx, "again"); err != nil {
		t.Fatal(err)
	}
	if _, got, err := tb.Next(ctx); err != nil || got != "again" {
		t.Fatalf("%q, %v", got, err)
	}
	select { // several goroutines validate, so it may be later than what came after it
	case s := <-refused:
		if s != "bad" {
			t.Errorf("refused %q", s)
		}
	case <-ctx.Done():
		t.Error("the malformed message did not reach the validator")
	}
	if err := tb.Publish(ctx, "later version"); err == nil {
		t.Error("published what its own validator drops")
	}
	if err := ta.Publish(ctx, strings.Repeat("x", gossipLimit)); err == nil {
		t.Error("published what is too long")
	}
}

func TestTopicClose(t *testing.T) {
	a := start(t, Config{})
	plain := func(_ peer.ID, b []byte) (string, error) { return string(b), nil }
	for range 3 { // it can be joined again
		topic := joinText(t, a, plain)
		if _, err := Join(a.Mesh, "text", func(string) ([]byte, error) { return nil, nil }, plain); err == nil {
			t.Error("joined twice at once")
		}
		if err := topic.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := topic.Next(deadline(t)); !errors.Is(err, ErrClosed) {
			t.Errorf("Next after Close: %v", err)
		}
	}
}

func TestPostOrder(t *testing.T) {
	a, b := pair(t)
	const n = 500
	got := make(chan string, n)
	pb := NewPost(b.Mesh, "/test/post", func(from peer.ID, frame []byte) error {
		if from != a.id() {
			t.Errorf("from %s", from)
		}
		got <- string(frame)
		return nil
	})
	defer pb.Close()
	pa := NewPost(a.Mesh, "/test/post", func(peer.ID, []byte) error { return nil })
	defer pa.Close()
	ctx := deadline(t)
	for i := range n {
		if !pa.Send(b.id(), fmt.Append(nil, i)) {
			t.Fatalf("frame %d was dropped", i)
		}
	}
	for i := range n {
		select {
		case s := <-got:
			if s != fmt.Sprint(i) {
				t.Fatalf("frame %s came as number %d", s, i)
			}
		case <-ctx.Done():
			t.Fatalf("frame %d did not come", i)
		}
	}
	big := make([]byte, PostFrameLimit)
	if !pa.Send(b.id(), big) || len(<-got) != len(big) {
		t.Error("the longest frame did not arrive whole")
	}
	if pa.Send(b.id(), append(big, 0)) {
		t.Error("a frame beyond the limit was taken")
	}
}

// What a node says last, as it stops, must still leave it.
func TestPostCloseSendsWhatIsQueued(t *testing.T) {
	a, b := pair(t)
	const n = 100
	got := make(chan string, n)
	pb := NewPost(b.Mesh, "/test/post", func(_ peer.ID, frame []byte) error { got <- string(frame); return nil })
	defer pb.Close()
	pa := NewPost(a.Mesh, "/test/post", func(peer.ID, []byte) error { return nil })
	for i := range n {
		if !pa.Send(b.id(), fmt.Append(nil, i)) {
			t.Fatalf("frame %d was dropped", i)
		}
	}
	if err := errors.Join(pa.Close(), a.Mesh.Close()); err != nil {
		t.Fatal(err)
	}
	if pa.Send(b.id(), nil) {
		t.Error("a frame was taken after Close")
	}
	ctx := deadline(t)
	for i := range n {
		select {
		case s := <-got:
			if s != fmt.Sprint(i) {
				t.Fatalf("frame %s came as number %d", s, i)
			}
		case <-ctx.Done():
			t.Fatalf("frame %d did not come", i)
		}
	}
}

func TestPostIsBounded(t *testing.T) {
	a, b := pair(t)
	hold := make(chan struct{})
	pb := NewPost(b.Mesh, "/test/post", func(peer.ID, []byte) error { <-hold; return nil })
	defer pb.Close()
	defer close(hold)
	pa := NewPost(a.Mesh, "/test/post", func(peer.ID, []byte) error { return nil })
	defer pa.Close()
	frame, sent := make([]byte, 1<<20), 0
	for sent < 1000 && pa.Send(b.id(), frame) {
		sent++
	}
	if sent == 1000 {
		t.Error("a receiver that hangs takes a gigabyte")
	}
	if pa.Dropped() != 1 {
		t.Errorf("%d drops counted", pa.Dropped())
	}
}

func TestPostUnreachable(t *testing.T) {
	a, b := pair(t)
	pa := NewPost(a.Mesh, "/test/post", func(peer.ID, []byte) error { return nil })
	defer pa.Close()
	if pa.Send(test.RandPeerIDFatal(t), []byte("x")) {
		t.Error("sent to a peer without an address")
	}
	// A peer that does not know the protocol, or has gone, loses what is queued,
	// and the loss is counted.
	if !pa.Send(b.id(), []byte("x")) {
		t.Error("a connected peer counts as unreachable")
	}
	nobody := peer.AddrInfo{ID: test.RandPeerIDFatal(t), Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")}}
	a.Host().Peerstore().AddAddrs(nobody.ID, nobody.Addrs, patience)
	ctx := deadline(t)
	for pa.Send(nobody.ID, []byte("x")) {
		if ctx.Err() != nil {
			t.Fatal("an unreachable peer is always tried again")
		}
	}
}

func TestPostNewerStreamTakesOver(t *testing.T) {
	a, b := pair(t)
	got := make(chan string, 10)
	pb := NewPost(b.Mesh, "/test/post", func(_ peer.ID, frame []byte) error { got <- string(frame); return nil })
	defer pb.Close()
	ctx := deadline(t)
	var last network.Stream
	for i := range 3 {
		s, err := a.Host().NewStream(ctx, b.id(), "/test/post")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Reset()
		if err := writeFrame(s, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		if s := <-got; s != fmt.Sprint(i) {
			t.Fatalf("got %s; want %d", s, i)
		}
		if last != nil {
			if _, err := last.Read(make([]byte, 1)); err == nil || err == io.EOF {
				t.Errorf("the older stream lives on: %v", err)
			}
		}
		last = s
	}
	// A frame whose length is a lie ends the stream, and nothing else.
	if _, err := last.Write([]byte{0xff, 0xff, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	if _, err := last.Read(make([]byte, 1)); err == nil {
		t.Error("the stream goes on after a frame beyond the limit")
	}
}

func TestHTTPOverStreams(t *testing.T) {
	a, b := pair(t)
	l, err := b.Listener("/test/http")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello "+r.RemoteAddr)
	})}
	go func() { served <- srv.Serve(l) }()
	transport := &http.Transport{DialContext: peerDialer(a.Mesh, b.id())}
	res, err := (&http.Client{Transport: transport}).Get("http://peer/")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || string(body) != "hello "+a.id().String() {
		t.Errorf("%q, %v", body, err)
	}
	transport.CloseIdleConnections()
	srv.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("accepts after Close")
	}
	if _, err := a.Dial(deadline(t), b.id(), "/test/nothing"); err == nil {
		t.Error("dialled a protocol that nobody serves")
	}
}

func peerDialer(m *Mesh, to peer.ID) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return m.Dial(ctx, to, "/test/http") }
}
