// Package p2p is the mesh as one node sees it: a single libp2p host, the peers
// that it knows, and the ways to talk to them.
//
//	id, err := p2p.LoadIdentity(filepath.Join(home, "identity.key"))
//	key, err := p2p.LoadSwarmKey(filepath.Join(home, "swarm.key"))
//	m, err := p2p.New(p2p.Config{Identity: id, SwarmKey: &key, Listen: addrs}, log)
//	defer m.Close()         // says goodbye, then closes the host
//	go m.Run(ctx)           // finds peers and watches them until ctx ends
//	for _, p := range m.Roster().Peers() { … }
//
// # Two kinds of swarm
//
// With a [SwarmKey] the swarm is private: every connection is encrypted with
// that key before a byte of libp2p is spoken, so that a machine without it
// learns nothing and sends nothing. Such a swarm uses TCP only, and no service
// outside of it: no public bootstrap peer, relay or address probe, and multicast on
// the local network only if Config.MDNS asks for it. Without a key the swarm is
// open.
//
// # Finding one another
//
// One live peer is enough: one of Config.Bootstrap, or of those that were met before
// and are remembered in Config.KnownFile. Both are tried until they answer. Two that
// are connected tell each other who they are (hello), and the one that answers adds
// some of the peers that it knows; gossip brings those that come later, and the DHT,
// in which members list themselves under a key of the swarm, those that nobody has
// told of. All of that are hints to dial: who a peer is, its connection proves.
//
// # Joining
//
// A newcomer gets the key from a member in one Noise handshake (NNpsk0), whose
// secret both must know:
//
//   - With a token, by [Ask] and [Admit]. Every member can make and check one, and
//     none has to store it; so a token is good for everybody who has it, until it
//     expires, and cannot be used up.
//   - Without one, by a [Code] that the newcomer makes and shows. Its request waits
//     at the members that it can reach, which can neither read nor answer it. A
//     person types the code at any member; that one gathers the requests that wait
//     anywhere in the swarm, answers the one that the code fits, and hands the
//     answer to the members that hold it. The members see to it that a code is good
//     once and for ten minutes.
//
// Whoever is in between without the secret can hold both up, and learns nothing:
// it cannot read an answer, make one, or lead the newcomer into another swarm. An
// exchange that was recorded stays closed to those who learn its secret later.
//
// # What is promised
//
//   - A peer's ID is proved by its connection, or by its signature on gossip;
//     nothing here reads it from a message's body.
//   - [Roster] lists live peers that have spoken to this node. A process that ended is taken out at once (it
//     said goodbye, refuses connections, or came back with a new boot ID); one
//     that merely does not answer stays until it was silent for Config.Silence.
//   - [Topic] and [Post] are best effort: what they carry can be lost, and Topic
//     may reorder and repeat. Send again until answered.
//   - All queues and messages are bounded, whatever a peer does.
//
// What not to assume: that two nodes have the same roster at one instant, that a
// peer in the roster is connected now, or that a peer's labels are true.
//
// The same host serves an embedded IPFS node ([Mesh.Host], [Mesh.Routing]);
// the Mesh owns it and closes it.
package p2p
