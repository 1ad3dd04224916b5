package wasi

import (
	"errors"
	"syscall"
)

// Errno is an error number of wasi_snapshot_preview1; 0 is success.
type Errno uint16

// The numbers that this package itself answers with.
const (
	ebadf        Errno = 8
	ebusy        Errno = 10
	eexist       Errno = 20
	efault       Errno = 21
	einval       Errno = 28
	eio          Errno = 29
	eisdir       Errno = 31
	eloop        Errno = 32
	emfile       Errno = 33
	enametoolong Errno = 37
	enoent       Errno = 44
	enosys       Errno = 52
	enotdir      Errno = 54
	enotsock     Errno = 57
	enotsup      Errno = 58
	eoverflow    Errno = 61
	eperm        Errno = 63
	erofs        Errno = 69
	espipe       Errno = 70
	exdev        Errno = 75
)

var fromHost = map[syscall.Errno]Errno{
	syscall.E2BIG: 1, syscall.EACCES: 2, syscall.EAGAIN: 6, syscall.EBADF: ebadf, syscall.EBUSY: ebusy,
	syscall.EDEADLK: 16, syscall.EDQUOT: 19, syscall.EEXIST: eexist, syscall.EFAULT: efault,
	syscall.EFBIG: 22, syscall.EILSEQ: 25, syscall.EINTR: 27, syscall.EINVAL: einval, syscall.EIO: eio,
	syscall.EISDIR: eisdir, syscall.ELOOP: eloop, syscall.EMFILE: emfile, syscall.EMLINK: 34,
	syscall.ENAMETOOLONG: enametoolong, syscall.ENFILE: 41, syscall.ENODEV: 43, syscall.ENOENT: enoent,
	syscall.ENOLCK: 46, syscall.ENOMEM: 48, syscall.ENOSPC: 51, syscall.ENOSYS: enosys,
	syscall.ENOTDIR: enotdir, syscall.ENOTEMPTY: 55, syscall.EOPNOTSUPP: enotsup, syscall.ENXIO: 60,
	syscall.EOVERFLOW: eoverflow, syscall.EPERM: eperm, syscall.EPIPE: 64, syscall.ERANGE: 68,
	syscall.EROFS: erofs, syscall.ESPIPE: espipe, syscall.ESTALE: 72, syscall.ETXTBSY: 74, syscall.EXDEV: exdev,
}

// errnoOf translates an error of the host. What is no errno comes from os.Root,
// which says in words that a path leads out of it: not permitted.
func errnoOf(err error) Errno {
	if err == nil {
		return 0
	}
	var host syscall.Errno
	if !errors.As(err, &host) {
		return eperm
	}
	if e, ok := fromHost[host]; ok {
		return e
	}
	return eio
}
