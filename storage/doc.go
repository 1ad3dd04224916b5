// Package storage keeps files and folders by the hash of their content and
// fetches them from peers: an embedded Kubo (IPFS) node as a store.
//
//	s, err := storage.Open(ctx, storage.Config{Dir: dir, Host: h, Routing: dht}, log)
//	go s.Run(ctx)                                  // announces what is pinned
//	cid, size, err := s.Put(ctx, "books", "")      // keep a folder
//	err = s.Fetch(ctx, "ipfs://"+cid, "copy")      // on any peer
//	err = s.Close()
//
// # What it promises
//
// A [Store.Put], [Store.Add] or [Store.Pin] that returned without error is on
// disk, synced, and stays across restarts until [Store.Unpin]. What
// [Store.Fetch] writes is exactly what the CID names: every block is checked
// against its hash when it comes in and again when it is read from disk. One that
// is damaged there is named in the log and fetched again from peers; if none has
// it, that is an error with the name of the file. A fetch either writes the whole
// of it or leaves nothing behind. A Put or Add that fails takes back the blocks
// that it wrote, except those that others rely on by then; see claims.
//
// The store keeps to Config.MaxBytes, and leaves a little of its disk free
// whatever that says. Blocks that nobody pinned (those of a Fetch) are a cache:
// they make room, first those that have been here for longest, when nine tenths
// are used or something does not fit. What does not fit even then is refused with
// a [FullError], and so is a block that does not fit on the disk; what is kept
// stays readable, and can be unpinned, on a disk that is full.
//
// The content alone makes the CID: names, bytes, folders and symbolic links.
// Times, owners and permissions are not kept, so that two runs of the same
// program give the same CID. CIDs are those of the UnixFS profile
// unixfs-v1-2025 (CIDv1, SHA-256, raw leaves, chunks of 1 MiB).
//
// # What not to assume
//
// A block that nobody pinned can be gone at any time. Sizes of folders are those
// of their blocks: a little more than the sum of the files. A link in a folder is
// kept as a link and is never followed, neither on the way in nor on the way out;
// where it points is for the reader to check. Nothing bounds the size of what a CID
// names: a few blocks can unfold to a file of any. Fetch stops before it fills the
// disk that it writes to; whoever reads Tar or Cat for a stranger bounds that.
//
// # Where blocks come from
//
// Peers that run this package give blocks over a stream of their own
// ([blockstream]): the ones that the caller names are dialled first, connected
// ones are asked at once, others are found through the routing. Whoever has some
// of it is asked for more, many blocks ahead, as fast as it answers; what one of
// them lets wait is asked of another in the end. One that breaks off is connected
// to again, one that sends wrong bytes is named in the log and asked no more.
// What none of them has, Bitswap asks everybody for, side by side: so it comes
// from other IPFS nodes too.
//
// A fetch ends with a [NotFoundError] when no block has come for
// [Config.Patience]; after a sixth of it, 5 s, if every connected peer has said
// that it does not have what is missing, and the routing knows nobody else.
// Readers ([Store.Cat], [Store.Tar], [Store.Fetch]) read while it comes, in the
// order of the content; [WithProgress] hears how far it is. Memory does not grow
// with the size of a file: 32 MiB of blocks for the reader, as much on its way to
// the disk, and at most 16 MiB asked for of each source.
//
// # How it is put together
//
// The caller owns the libp2p host and the routing (one host serves the mesh
// and IPFS); [Store.Close] leaves both running. On them stand the parts of
// Kubo that a store needs, joined as Kubo joins them: blockstore, Bitswap, block
// service. See newKubo for why these and not the whole of it, openRepo for what
// is on disk, roots for what is pinned, and claims for what keeps the collector
// and a failed Add from taking what others rely on.
package storage
