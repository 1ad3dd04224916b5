//go:build lab

package lab

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// verdict is what becomes of a frame that a member sent.
type verdict int

const (
	toMember verdict = iota
	// chatter is what the kernel says by itself on a link: it looks for the
	// hardware address of a member or tells its own, and, with IPv6, looks for a
	// router and reports the multicast groups of such looking.
	chatter
	// answer is part of a TCP connection that a stranger opened.
	answer
	// leak is everything else: an IP packet to anybody who is no member, any
	// multicast or broadcast (mDNS at 5353 among them), a question for the hardware
	// address of no member, which is how a packet to a neighbour begins, a report
	// of a multicast group that a program joined, and what cannot be read.
	leak
)

func (v verdict) String() string {
	return [...]string{"to members", "kernel", "answers to strangers", "LEAK"}[v]
}

// judge decides about a frame of a member. Nobody but strangers may be answered.
func judge(f frame, members, strangers map[netip.Addr]bool) verdict {
	switch f.proto {
	case "ARP is-at", icmpv6(neighbourAdvertisement):
		return chatter
	case "ARP who-has", icmpv6(neighbourSolicitation):
		// The kernel also asks for a stranger whom it is to answer.
		if members[f.dst] || strangers[f.dst] || f.dst.IsLinkLocalUnicast() {
			return chatter
		}
		return leak
	case icmpv6(routerSolicitation):
		return chatter
	case icmpv6(mldReport):
		for g := range strings.FieldsSeq(f.group) {
			if !solicitedNode.Contains(netip.MustParseAddr(g)) {
				return leak
			}
		}
		return chatter
	}
	switch {
	case members[f.dst]:
		return toMember
	case strangers[f.dst] && f.proto == "TCP":
		return answer
	}
	return leak
}

// solicitedNode are the groups in which IPv6 looks for neighbours.
var solicitedNode = netip.MustParsePrefix("ff02::1:ff00:0/104")

func icmpv6(kind int) string { return fmt.Sprintf("ICMPv6 %d", kind) }

// addrs are the addresses of hosts.
func addrs(hosts []*host) map[netip.Addr]bool {
	out := make(map[netip.Addr]bool)
	for _, h := range hosts {
		out[h.addr] = true
		if h.addr6.IsValid() {
			out[h.addr6] = true
		}
	}
	return out
}

// leaks judges all that these members have sent so far, and returns the lines of
// what should not have been, and how many frames there were of each verdict.
// Whoever else is on the LAN is a stranger.
func (l *lan) leaks(members ...*host) (lines []string, frames map[verdict]int) {
	l.Helper()
	return l.leaksOf(members, nil)
}

// leaksOf is leaks among friends, who are sent to as members are, and may send what
// they like.
func (l *lan) leaksOf(members, friends []*host) (lines []string, frames map[verdict]int) {
	l.Helper()
	known := addrs(slices.Concat(members, friends))
	strangers := addrs(l.hosts)
	maps.DeleteFunc(strangers, func(a netip.Addr, _ bool) bool { return known[a] })
	frames = make(map[verdict]int)
	for _, s := range l.settle() {
		if !slices.Contains(members, s.from) {
			continue
		}
		v := judge(s.frame, known, strangers)
		frames[v] += s.frames
		if v == leak {
			lines = append(lines, s.String())
		}
	}
	return lines, frames
}

// sealed fails the test if a member sent anything to anybody else.
func (l *lan) sealed(members ...*host) {
	l.Helper()
	l.sealedAmong(members, nil)
}

// sealedAmong is sealed among friends, as in leaksOf.
func (l *lan) sealedAmong(members, friends []*host) {
	l.Helper()
	lines, frames := l.leaksOf(members, friends)
	l.Logf("sent by the %d members, in frames: %v %d, %v %d, %v %d, %v %d", len(members),
		toMember, frames[toMember], chatter, frames[chatter], answer, frames[answer], leak, frames[leak])
	if len(lines) > 0 {
		l.Errorf("members sent to somebody else:\n%s", strings.Join(lines, "\n"))
	}
	if frames[toMember] == 0 {
		l.Error("the capture saw nothing of what the members told each other; it proves nothing")
	}
}
