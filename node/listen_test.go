package node

import (
	"net"
	"testing"
)

// Who asks for IPv4 gets no IPv6 beside it.
func TestListensWhereItIsTold(t *testing.T) {
	for addr, v6 := range map[string]bool{"0.0.0.0:0": false, "127.0.0.1:0": false, "[::]:0": true, ":0": true} {
		l, err := net.Listen(tcpOf(addr), addr)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		if got := l.Addr().(*net.TCPAddr).IP.To4() == nil; got != v6 {
			t.Errorf("%s listens at %s", addr, l.Addr())
		}
		l.Close()
	}
}
