// Package api is a node's HTTP API and its Go client. Both sides use the types
// of types.go, and the handlers reach the node through Backend alone, so that
// what the API can do is what Backend says.
//
// There are three handlers, one for each kind of caller:
//
//   - Local answers everything. It belongs on the unix socket in the node's
//     home, which only the node's owner can open (see ListenSocket).
//   - Public answers machines that are not in the swarm yet: who the node is,
//     whether it is up, and the handshake with which they join.
//   - Mesh answers the other peers of the swarm, for the jobs whose ledgers
//     this node holds.
//
// Serve runs any of them with the limits they need.
//
// # Errors
//
// An error that the caller can act on is an *Error with a Code. On the wire it
// is an RFC 9457 problem whose member "code" never changes its meaning; the
// client turns it into an *Error again, so a code survives any number of hops.
// A backend's error without a code is CodeInternal.
//
// # Streams
//
// Watch and Logs are server-sent events. An event without a name carries a
// value; "end" says that nothing will follow, "problem" that something went
// wrong on the way. A stream that stops without either was cut off, and the
// client says so. Downloads tell of a late error in a trailer to those who ask
// for trailers, and break the connection for everybody else: nobody takes half
// of a file for the whole. Nothing is buffered for a slow reader: the backend
// waits for it.
package api
