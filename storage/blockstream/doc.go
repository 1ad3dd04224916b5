// Package blockstream moves blocks between two peers over one libp2p stream, as
// fast as the stream is.
//
// A client sends requests, as many ahead as it likes; the server answers them in
// their order, so that neither needs names for them:
//
//	s := blockstream.NewServer(host, blocks, log)   // serves until s.Close
//
//	c, err := blockstream.Open(ctx, host, peer)     // on another host
//	err = c.Ask(within, blockstream.Request{Kind: blockstream.Want, CID: id})
//	a, err := c.Next(within)                        // Block, None or Here
//
// # What it promises, and what not
//
// The client learns what the other side says: it must hash every block before it
// believes it (see Verify). The server hashes nothing, as the receiver does anyway;
// a client that got a block with a wrong hash tells it so with a Damaged request,
// and the server then looks at its own copy.
//
// Both sides bound what they hold: a server keeps one buffer for each stream, a
// client reads at most MaxBlock for each answer. A server serves a bounded number
// of streams, in all and for each peer, ends those that rest, and slows down those
// that ask for what is not here. What is malformed ends the stream.
//
// # On the wire
//
//	request  kind (1 byte), length of the CID (1 byte), CID in binary
//	answer   status (1 byte), size (4 bytes, big-endian), and for Block the data
//
// A Want is answered with the block or None. A Probe is answered with the block
// if that is small (ProbeSize), with Here and its size if it is not, or with
// None. A Damaged request has no answer.
package blockstream
