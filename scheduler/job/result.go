package job

import (
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"
)

// maxCID is the longest text of a CID, in bytes: enough for every hash in use.
const maxCID = 128

// Validate checks what can be checked of a result without its job: that the
// outputs have names and CIDs, each name once, and that no amount is negative.
// Who is given a result by another peer checks it before it is looked at.
func (r Result) Validate() error {
	if len(r.Outputs) > maxMounts {
		return fmt.Errorf("%d outputs, at most %d can be asked for", len(r.Outputs), maxMounts)
	}
	for i, out := range r.Outputs {
		if err := out.validate(); err != nil {
			return err
		}
		if slices.ContainsFunc(r.Outputs[:i], func(o Output) bool { return o.Name == out.Name }) {
			return fmt.Errorf("output %s is there twice", out.Name)
		}
	}
	if r.Usage.CPU < 0 || r.Usage.Wall < 0 || r.Usage.Memory < 0 {
		return fmt.Errorf("its usage is negative: %+v", r.Usage)
	}
	return nil
}

func (o Output) validate() error {
	switch {
	case !isName(o.Name):
		return fmt.Errorf("an output named %q, which is no name", clip(o.Name))
	case o.Size < 0:
		return fmt.Errorf("output %s has %d bytes", o.Name, int64(o.Size))
	case len(o.CID) > maxCID:
		return fmt.Errorf("output %s has a CID of %d bytes", o.Name, len(o.CID))
	}
	if _, err := cid.Decode(o.CID); err != nil {
		return fmt.Errorf("output %s has %q for a CID, which is none", o.Name, clip(o.CID))
	}
	return nil
}

// Answers checks that r is a result of s: outputs are of those that s names, and
// if r is OK, all of them.
func (r Result) Answers(s Spec) error {
	if err := r.Validate(); err != nil {
		return err
	}
	for _, out := range r.Outputs {
		if !slices.ContainsFunc(s.Outputs, func(want OutputDir) bool { return want.Name == out.Name }) {
			return fmt.Errorf("output %s, which the job does not name", out.Name)
		}
	}
	if r.OK() && len(r.Outputs) < len(s.Outputs) {
		return fmt.Errorf("%d outputs, and the job names %d", len(r.Outputs), len(s.Outputs))
	}
	return nil
}
