package p2p

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/flynn/noise"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Admission is what a joiner gets: the swarm's key and a member to connect to.
type Admission struct {
	Key    SwarmKey
	Member peer.AddrInfo
}

// admissionLimit bounds both messages, in bytes.
const admissionLimit = 16 << 10

// admissionWire is the payload of the member's answer.
type admissionWire struct {
	Key    []byte   `cbor:"0,keyasint"`
	Member []byte   `cbor:"1,keyasint"`
	Addrs  [][]byte `cbor:"2,keyasint"`
}

// joinHandshake is one side of Noise_NNpsk0_25519_ChaChaPoly_SHA256. Only the
// holder of S can write or read it; the fresh keys of both sides make a recorded
// exchange useless to whoever learns S later, and a replayed request earns an
// answer that the replayer cannot read.
func joinHandshake(t tokenPublic, secret []byte, initiator bool) (*noise.HandshakeState, error) {
	return newHandshake(append([]byte(tokenLabel), t.encode()...), secret, initiator, rand.Reader)
}

func newHandshake(prologue, secret []byte, initiator bool, random io.Reader) (*noise.HandshakeState, error) {
	return noise.NewHandshakeState(noise.Config{
		CipherSuite:  noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256),
		Random:       random,
		Pattern:      noise.HandshakeNN,
		Initiator:    initiator,
		Prologue:     prologue,
		PresharedKey: secret,
	})
}

// Ask begins to join with a token: msg goes to any member, and finish reads what
// came back. It fails with ErrTokenMalformed or ErrTokenExpired before anything
// is sent; finish fails with ErrTokenWrong if the answer is not by a member (or
// was not meant for this request). finish is to be called once.
func Ask(token string, self peer.ID, now time.Time) (msg []byte, finish func(reply []byte) (Admission, error), err error) {
	t, secret, err := parseToken(token)
	if err != nil {
		return nil, nil, err
	}
	if err := t.checkTime(now, "this machine's"); err != nil {
		return nil, nil, err
	}
	hs, err := joinHandshake(t, secret, true)
	if err != nil {
		return nil, nil, fmt.Errorf("asking to join: %w", err)
	}
	msg, _, _, err = hs.WriteMessage(t.encode(), []byte(self))
	if err != nil {
		return nil, nil, fmt.Errorf("asking to join: %w", err)
	}
	finish = func(reply []byte) (Admission, error) { return finishAsk(hs, t, reply) }
	return msg, finish, nil
}

func finishAsk(hs *noise.HandshakeState, t tokenPublic, reply []byte) (Admission, error) {
	a, err := readAnswer(hs, reply, fmt.Errorf("%w: whoever answered does not know it: check the address, or %s", ErrTokenWrong, tokenNextStep))
	if err != nil {
		return Admission{}, err
	}
	if a.Key.fingerprint() != t.swarm {
		return Admission{}, fmt.Errorf("%w: the member sent the key of swarm %s: %s", ErrTokenForeign, a.Key.Fingerprint(), tokenNextStep)
	}
	return a, nil
}

// readAnswer reads the member's message; wrong is the error if it was not made
// with the secret, for this request.
func readAnswer(hs *noise.HandshakeState, reply []byte, wrong error) (Admission, error) {
	if len(reply) > admissionLimit {
		return Admission{}, fmt.Errorf("joining: the answer is longer than %d bytes: is a Shoal node at that address?", admissionLimit)
	}
	payload, _, _, err := hs.ReadMessage(nil, reply)
	if err != nil {
		return Admission{}, wrong
	}
	var w admissionWire
	if err := decMode.Unmarshal(payload, &w); err != nil {
		return Admission{}, fmt.Errorf("joining: the member's answer does not decode (another version of Shoal?): %w", err)
	}
	a, err := w.admission()
	if err != nil {
		return Admission{}, fmt.Errorf("joining: the member's answer does not decode (another version of Shoal?): %w", err)
	}
	return a, nil
}

// writeAnswer makes the member's message.
func writeAnswer(hs *noise.HandshakeState, key SwarmKey, member peer.AddrInfo) ([]byte, error) {
	answer, err := encMode.Marshal(admissionWire{Key: key[:], Member: []byte(member.ID), Addrs: encodeAddrs(member.Addrs)})
	if err != nil {
		return nil, fmt.Errorf("admitting a peer: %w", err)
	}
	reply, _, _, err := hs.WriteMessage(nil, answer)
	if err != nil {
		return nil, fmt.Errorf("admitting a peer: %w", err)
	}
	return reply, nil
}

func (w admissionWire) admission() (Admission, error) {
	if len(w.Key) != len(SwarmKey{}) {
		return Admission{}, errors.New("the key has a wrong length")
	}
	id, err := peer.IDFromBytes(w.Member)
	if err != nil {
		return Admission{}, err
	}
	addrs, err := decodeAddrs(w.Addrs)
	if err != nil {
		return Admission{}, err
	}
	return Admission{Key: SwarmKey(w.Key), Member: peer.AddrInfo{ID: id, Addrs: addrs}}, nil
}

// Admit answers a joiner's msg on behalf of a member. It fails with
// ErrTokenMalformed, ErrTokenExpired, ErrTokenForeign or ErrTokenWrong, whose text
// is for the joiner to read; what it returns in reply only the token's holder can read. It keeps nothing: the
// caller bounds how often it is called.
func Admit(key SwarmKey, member peer.AddrInfo, now time.Time, msg []byte) (reply []byte, joiner peer.ID, err error) {
	t, ok := decodePublic(msg)
	if !ok || len(msg) > admissionLimit {
		return nil, "", fmt.Errorf("%w: the request to join does not decode (another version of Shoal?)", ErrTokenMalformed)
	}
	if t.swarm != key.fingerprint() {
		return nil, "", fmt.Errorf("%w (%s, and that node is in %s): make one at that node with: node token create", ErrTokenForeign,
			text32.EncodeToString(t.swarm[:]), key.Fingerprint())
	}
	if err := t.checkTime(now, "that node's"); err != nil {
		return nil, "", err
	}
	hs, err := joinHandshake(t, key.secret(t), false)
	if err != nil {
		return nil, "", fmt.Errorf("admitting a peer: %w", err)
	}
	payload, _, _, err := hs.ReadMessage(nil, msg[publicSize:])
	if err != nil {
		return nil, "", fmt.Errorf("%w: %s", ErrTokenWrong, tokenNextStep)
	}
	joiner, err = peer.IDFromBytes(payload)
	if err != nil {
		return nil, "", fmt.Errorf("%w: the joiner's peer ID does not decode", ErrTokenMalformed)
	}
	reply, err = writeAnswer(hs, key, member)
	return reply, joiner, err
}

// ReachedAt puts the host at which a peer's API was reached, an IP or a DNS name,
// before the addresses that the peer knows of itself, with the same TCP ports:
// behind a port forward or in a container a node does not know the address it is
// seen at. Wildcard addresses, which lead nowhere, are left out; so are loopback
// ones, unless it was reached over loopback: elsewhere they lead to the wrong
// machine.
func ReachedAt(info peer.AddrInfo, host string) peer.AddrInfo {
	at, _ := hostPart(host)
	var reached []multiaddr.Multiaddr
	for _, m := range info.Addrs {
		if port, err := m.ValueForProtocol(multiaddr.P_TCP); err == nil {
			if a, err := multiaddr.NewMultiaddr(fmt.Sprintf("%s/tcp/%s", at, port)); err == nil {
				reached = append(reached, a)
			}
		}
	}
	return peer.AddrInfo{ID: info.ID, Addrs: mergeAddrs(reached, SeenFrom(info, host).Addrs)}
}

// SeenFrom leaves out those addresses of a peer that lead nowhere from a machine
// that reaches the peer's swarm at host: see ReachedAt.
func SeenFrom(info peer.AddrInfo, host string) peer.AddrInfo {
	_, near := hostPart(host)
	return peer.AddrInfo{ID: info.ID, Addrs: slices.DeleteFunc(slices.Clone(info.Addrs), func(m multiaddr.Multiaddr) bool {
		return manet.IsIPUnspecified(m) || !near && manet.IsIPLoopback(m)
	})}
}

// hostPart is the beginning of a multiaddr at that host; near is true if it is
// this machine.
func hostPart(host string) (part string, near bool) {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "/dns/" + host, host == "localhost"
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		return "/ip6/" + ip.String(), ip.IsLoopback()
	}
	return "/ip4/" + ip.String(), ip.IsLoopback()
}
