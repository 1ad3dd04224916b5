//go:build lab

package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// frame is what matters of an Ethernet frame: who is meant by it, and how.
type frame struct {
	proto string     // "TCP SYN", "TCP", "UDP", "ARP who-has", "ICMPv6 135"…
	dst   netip.Addr // whom it reaches; whom an ARP or neighbour solicitation asks for
	port  uint16     // destination, of TCP and UDP
	group string     // multicast groups that are joined, of IGMP and MLD
}

func (f frame) String() string {
	s := f.proto + " to "
	if f.port != 0 {
		s += netip.AddrPortFrom(f.dst, f.port).String()
	} else {
		s += f.dst.String()
	}
	if f.group != "" {
		s += " joining " + f.group
	}
	return s
}

const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd
	// etherFence is of the two that are free for experiments. See capture.settle.
	etherFence = 0x88b5

	protoICMP, protoIGMP, protoTCP, protoUDP, protoICMPv6 = 1, 2, 6, 17, 58

	// What kernels send by themselves where IPv6 is on.
	routerSolicitation, neighbourSolicitation, neighbourAdvertisement = 133, 135, 136

	mldReport = 143
)

// decode reads a frame's headers. What it does not know it names by number, so
// that it counts as sent to nobody in particular.
func decode(b []byte) frame {
	if len(b) < 14 {
		return frame{proto: fmt.Sprintf("frame of %d bytes", len(b))}
	}
	kind, b := binary.BigEndian.Uint16(b[12:]), b[14:]
	switch {
	case kind == etherARP && len(b) >= 28:
		verb := "ARP is-at"
		if binary.BigEndian.Uint16(b[6:]) == 1 {
			verb = "ARP who-has"
		}
		return frame{proto: verb, dst: addr(b[24:28])}
	case kind == etherIPv4 && len(b) >= 20 && len(b) >= int(b[0]&15)*4:
		return decodeIP(int(b[9]), addr(b[16:20]), b[int(b[0]&15)*4:])
	case kind == etherIPv6 && len(b) >= 40:
		proto, dst, b := int(b[6]), addr(b[24:40]), b[40:]
		if proto == 0 && len(b) >= 8 { // hop-by-hop options come before MLD
			if n := (int(b[1]) + 1) * 8; n <= len(b) {
				proto, b = int(b[0]), b[n:]
			}
		}
		return decodeIP(proto, dst, b)
	}
	return frame{proto: fmt.Sprintf("ethertype 0x%04x", kind)}
}

func decodeIP(proto int, dst netip.Addr, b []byte) frame {
	f := frame{proto: fmt.Sprintf("IP protocol %d", proto), dst: dst}
	switch {
	case proto == protoTCP && len(b) >= 14:
		f.proto, f.port = "TCP", binary.BigEndian.Uint16(b[2:])
		if b[13]&0x12 == 0x02 {
			f.proto = "TCP SYN"
		}
	case proto == protoUDP && len(b) >= 4:
		f.proto, f.port = "UDP", binary.BigEndian.Uint16(b[2:])
	case proto == protoICMP && len(b) >= 1:
		f.proto = fmt.Sprintf("ICMP %d", b[0])
	case proto == protoIGMP && len(b) >= 8:
		f.proto = "IGMP"
		f.group = groups(b, b[0] == 0x22, 4)
	case proto == protoICMPv6 && len(b) >= 1:
		f.proto = fmt.Sprintf("ICMPv6 %d", b[0])
		switch {
		case b[0] == neighbourSolicitation && len(b) >= 24:
			f.dst = addr(b[8:24])
		case b[0] == mldReport:
			f.group = groups(b, true, 16)
		}
	}
	return f
}

// groups lists the groups of a report in the form that IGMPv3 and MLDv2 share,
// with addresses of n bytes, or the one of an older IGMP.
func groups(b []byte, many bool, n int) string {
	if !many {
		return addr(b[4:8]).String()
	}
	var out []string
	if len(b) >= 8 {
		left := binary.BigEndian.Uint16(b[6:])
		for b = b[8:]; left > 0 && len(b) >= 4+n; left-- {
			out = append(out, addr(b[4:4+n]).String())
			size := 4 + n + int(binary.BigEndian.Uint16(b[2:]))*n + int(b[1])*4
			b = b[min(size, len(b)):]
		}
	}
	return strings.Join(out, " ")
}

func addr(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}
