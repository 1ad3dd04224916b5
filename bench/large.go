package main

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-mesh/shoal/node/api"
)

// large measures the memory that one large file takes, in both of two node
// processes, and how fast it comes. It takes three times the file's size on the
// disk, and is done only when it is asked for.
func (b *bench) large(ctx context.Context, r *report) error {
	if b.gib == 0 {
		return nil
	}
	_, nodes, err := b.swarm(ctx, 1)
	if err != nil {
		return err
	}
	giver, taker := nodes[0], nodes[1]
	size := int64(b.gib) << 30
	in, out := io.Pipe()
	go func() { out.CloseWithError(archive(out, size)) }()
	added, err := giver.client.Add(ctx, in, "")
	if err != nil {
		return err
	}
	begin := time.Now()
	if _, err := taker.client.Pin(ctx, api.PinRequest{CID: added.CID}); err != nil {
		return err
	}
	took := time.Since(begin)
	for who, p := range map[string]*process{"gives": giver, "takes": taker} {
		peak, err := strconv.ParseInt(strings.TrimSuffix(field(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status"), "VmHWM"), " kB"), 10, 64)
		if err != nil {
			return err
		}
		r.add(fmt.Sprintf("peak RSS of the node that %s a file of %d GiB, between node processes at %.0f MB/s", who, b.gib, float64(size)/1e6/took.Seconds()), mb(peak*1024))
	}
	for _, p := range nodes {
		if err := b.stop(p); err != nil {
			return err
		}
	}
	return nil
}

// archive writes a tar archive with one file of noise.
func archive(w io.Writer, size int64) error {
	t := tar.NewWriter(w)
	if err := t.WriteHeader(&tar.Header{Name: "large", Typeflag: tar.TypeReg, Mode: 0o600, Size: size}); err != nil {
		return err
	}
	if _, err := io.CopyN(t, rand.NewChaCha8([32]byte{1}), size); err != nil {
		return err
	}
	return t.Close()
}
