package wasm

import (
	"os"
	"sync"
	"syscall"
)

// fileID tells whether a file is still the one that was looked at.
type fileID struct {
	dev, ino uint64
	size     int64
	modified int64
}

func identify(path string) (fileID, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return fileID{}, err
	}
	st := fi.Sys().(*syscall.Stat_t)
	return fileID{uint64(st.Dev), st.Ino, fi.Size(), fi.ModTime().UnixNano()}, nil
}

// maxSums bounds what sums remembers.
const maxSums = 1024

// sums remembers the SHA-256 of modules: reading one takes longer than running
// many a program. The zero value is ready.
type sums struct {
	mu    sync.Mutex
	known map[fileID]string
}

// of is the sum of the file at path.
func (s *sums) of(path string) (string, error) {
	id, err := identify(path)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	sum, ok := s.known[id]
	s.mu.Unlock()
	if ok {
		return sum, nil
	}
	// A file that cannot be a module is not worth reading to its end.
	f, err := openModule(path)
	if err != nil {
		return "", err
	}
	f.Close()
	if sum, err = sumFile(path); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxSums {
		s.known = map[fileID]string{}
	}
	s.known[id] = sum
	return sum, nil
}
