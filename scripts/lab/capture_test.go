//go:build lab

package lab

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// capture counts what every host of a LAN sends: a packet socket in the bridge's
// namespace gets each frame as it comes in at the port that a host hangs on.
type capture struct {
	socket *os.File
	raw    syscall.RawConn
	began  time.Time
	done   chan struct{}

	mu     sync.Mutex
	ports  map[int]*host
	seen   map[sighting]*sum
	fences map[*host]chan struct{}
	err    error
}

// sighting is a frame and who sent it.
type sighting struct {
	from *host
	frame
}

// sum is how often it was seen.
type sum struct {
	frames, bytes int
	first, last   time.Duration // since the capture began
}

type seen struct {
	sighting
	sum
}

func (s seen) String() string {
	return fmt.Sprintf("%s (%s) sent %s: %d frames, %d bytes, from %.3f s to %.3f s", s.from.name, s.from.addr, s.frame, s.frames, s.bytes, s.first.Seconds(), s.last.Seconds())
}

const (
	// snap is what is read of a frame: its headers.
	snap = 512
	// buffer is what the kernel keeps of the frames that are still to be read, in
	// bytes. A few MiB are in flight when a host sends a file.
	buffer = 64 << 20
	// maxSightings bounds what is remembered; a test that needs more is a mistake.
	maxSightings = 10_000
)

func newCapture(netns string) (*capture, error) {
	c := &capture{began: time.Now(), done: make(chan struct{}), ports: make(map[int]*host),
		seen: make(map[sighting]*sum), fences: make(map[*host]chan struct{})}
	err := within(netns, func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(bigEndian(unix.ETH_P_ALL)))
		if err != nil {
			return fmt.Errorf("opening a packet socket: %w", err)
		}
		c.socket = os.NewFile(uintptr(fd), "capture")
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer)
	})
	if err != nil {
		return nil, err
	}
	if c.raw, err = c.socket.SyscallConn(); err != nil {
		return nil, err
	}
	go c.run()
	return c, nil
}

// bigEndian is the value in the order of bytes of a network, as a socket wants it.
func bigEndian(v uint16) uint16 { return v<<8 | v>>8 }

func (c *capture) close() {
	c.socket.Close()
	<-c.done
}

// watch says which host hangs on a port of the bridge.
func (c *capture) watch(index int, h *host) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ports[index] = h
}

func (c *capture) run() {
	defer close(c.done)
	buf := make([]byte, snap)
	for {
		var size int
		var from unix.Sockaddr
		var err error
		if rerr := c.raw.Read(func(fd uintptr) bool {
			size, from, err = unix.Recvfrom(int(fd), buf, unix.MSG_TRUNC)
			return err != unix.EAGAIN && err != unix.EINTR
		}); rerr != nil {
			return // closed
		}
		if err == unix.ENETDOWN { // an interface went, with a host
			continue
		}
		if err != nil {
			c.mu.Lock()
			c.err = errors.Join(c.err, err)
			c.mu.Unlock()
			return
		}
		if link, ok := from.(*unix.SockaddrLinklayer); ok && link.Pkttype != unix.PACKET_OUTGOING {
			c.take(link.Ifindex, buf[:min(size, snap)], size)
		}
	}
}

func (c *capture) take(port int, b []byte, size int) {
	now := time.Since(c.began)
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.ports[port]
	if h == nil {
		return // the bridge itself
	}
	f := decode(b)
	if f.proto == fenceProto {
		close(c.fences[h])
		delete(c.fences, h)
		return
	}
	if f.proto == "TCP" {
		f.port = 0 // of an answer, it is one of thousands
	}
	s := c.seen[sighting{h, f}]
	if s == nil {
		if len(c.seen) == maxSightings {
			c.err = errors.Join(c.err, errors.New("too many different frames to remember"))
			return
		}
		s = &sum{first: now}
		c.seen[sighting{h, f}] = s
	}
	s.frames, s.bytes, s.last = s.frames+1, s.bytes+size, now
}

var fenceProto = fmt.Sprintf("ethertype 0x%04x", etherFence)

// settle waits until everything that the hosts have sent was counted, by sending
// from each a frame that nobody else sends and waiting for it, and returns it all.
// It fails the test if the capture has missed anything.
func (l *lan) settle() []seen {
	l.Helper()
	for _, h := range l.hosts {
		arrived := make(chan struct{})
		l.mu.Lock()
		l.fences[h] = arrived
		l.mu.Unlock()
		if err := h.fence(); err != nil {
			l.Fatalf("sending from %s: %v", h.name, err)
		}
		select {
		case <-arrived:
		case <-time.After(patience):
			l.Fatalf("the capture did not see the frame that %s sent at last", h.name)
		}
	}
	stats, err := l.statistics()
	if err != nil || stats.Drops != 0 {
		l.Fatalf("the capture lost %d frames (%v)", stats.Drops, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		l.Fatal(l.err)
	}
	var out []seen
	for s, n := range l.seen {
		out = append(out, seen{s, *n})
	}
	slices.SortFunc(out, func(a, b seen) int { return cmp.Compare(a.first, b.first) })
	return out
}

func (c *capture) statistics() (stats unix.TpacketStats, err error) {
	cerr := c.raw.Control(func(fd uintptr) {
		var s *unix.TpacketStats
		if s, err = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			stats = *s
		}
	})
	return stats, errors.Join(cerr, err)
}

// fence sends a frame to nobody.
func (h *host) fence() error {
	return within(h.netns, func() error {
		i, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		b := make([]byte, 60)
		for n := range 6 {
			b[n] = 0xff
		}
		b[12], b[13] = etherFence>>8, etherFence&0xff
		return unix.Sendto(fd, b, 0, &unix.SockaddrLinklayer{Ifindex: i.Index, Halen: 6})
	})
}
