package child

import (
	"bytes"
	"strconv"
)

// PeakMemory reads VmHWM out of a /proc/PID/status, in bytes; 0 if it is not
// there.
func PeakMemory(status []byte) int64 {
	_, rest, ok := bytes.Cut(status, []byte("VmHWM:"))
	if !ok {
		return 0
	}
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}
