// Package sign lets a client prove with each request who it is: requests are
// signed with the client's Ed25519 key as RFC 9421 has it, in one fixed profile,
// so that a client in any language can do the same with a library of its own.
//
//	key, err := sign.LoadKey(path)                // the client's, made at first use
//	err = sign.Request(req, key, node, nonce)     // adds the headers
//
//	s, err := sign.Read(req)                      // at the node: what is claimed
//	err = nonces.Check(s.Nonce)                   // one that this node gave out lately
//	err = s.Verify()                              // the key's owner made it
//	err = nonces.Use(s.Key, s.Nonce)              // and it is not said twice
//	req.Body = s.Body(req.Body)                   // the body is the one that was signed
//
// # What is signed
//
// A request has one signature, under any label, over exactly these components,
// in any order: "@method", "@path", "@query", the field "shoal-node" with the peer
// ID of the node that is asked, and the fields "content-digest" and
// "content-type" where the request has them. A request with a body has both a
// Content-Digest (RFC 9530, sha-256 alone). Its parameters are keyid, the
// client's key in the form of a peer ID (12D3…, which holds the whole public
// key); nonce, which the node gave out; and tag, which is "shoal". alg, where it is
// given, is "ed25519". created and expires are allowed and mean nothing: nobody
// trusts another's wall clock here. A vector is in testdata/vector.json.
//
// Scheme and authority are not signed, so that a proxy may end TLS in front of
// a node, as long as it passes the path on as it is; "shoal-node" says for whom the
// request is, and no other node takes it. What a handler decides by must be in the
// path, the query or the body: no other header is covered.
//
// # Nonces
//
// A node takes a nonce once, within Window of its making by the node's own
// monotonic clock. GET /v1/nonce gives one to anybody, and every answer to a
// signed request brings the next in its header Shoal-Nonce, as RFC 8555 (6.5)
// and RFC 9449 (8) have it: a command costs one round trip more, not two for each
// request.
//
// # What is not kept
//
// A signature hides nothing, and answers are not signed: over plain HTTP the
// network can read both ways and forge answers. Use https:// in front of the node,
// or a tunnel, where the network is not trusted.
package sign
