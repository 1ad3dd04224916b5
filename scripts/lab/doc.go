// Package lab tests Shoal on machines of their own: network namespaces, each with
// its own interface, addresses and default ports, on a LAN whose router leads
// nowhere and whose every frame is captured.
//
//	l := newLAN(t)
//	a, b := l.host("a"), l.host("b")                       // 10.0.0.1, 10.0.0.2
//	first := a.serve("node serve --private --initial")     // as typed there
//	b.serve(first.joinLine)                                // as the founder printed it
//	b.sh("node add books")
//	l.sealed(a, b)                                         // nothing went to anybody else
//
// What a test starts ends with it, on Ctrl-C too. What a killed run left behind is
// removed by the next one. It needs root, Linux and iproute2; elsewhere it is left
// out, and says so. Run it with `make lab`.
package lab
