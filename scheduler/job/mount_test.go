package job

import (
	"slices"
	"strings"
	"testing"
)

func TestParseMount(t *testing.T) {
	for ref, want := range map[string][2]string{
		"mount://logs": {"logs", ""}, "mount://logs/app": {"logs", "app"}, "mount://My.Logs_2/a b/ü/...": {"My.Logs_2", "a b/ü/..."},
	} {
		name, sub, err := ParseMount(ref)
		if err != nil || name != want[0] || sub != want[1] {
			t.Errorf("%s: %q, %q, %v", ref, name, sub, err)
		}
	}
	for _, bad := range []string{
		"", "logs", "mount:", "mount://", "mount:///etc", "mount://../etc", "mount://./x", "mount://a b", "mount://-a", "mount://" + strings.Repeat("n", 64), "mount://ü",
		"mount://logs/", "mount://logs//a", "mount://logs/a/", "mount://logs/./a", "mount://logs/..", "mount://logs/../x", "mount://logs/a/../../x", "mount://logs/a\x00", "MOUNT://logs",
	} {
		if name, sub, err := ParseMount(bad); err == nil {
			t.Errorf("%q was taken as %q, %q", bad, name, sub)
		}
	}
}

func TestMountsOfASpec(t *testing.T) {
	s := Spec{
		Task:   Task{WASM: &WASM{Module: "ipfs://" + someCID}},
		Inputs: []Input{{From: "mount://logs/app", At: "/a"}, {From: "ipfs://" + someCID, At: "/b"}, {From: "mount://data", At: "/c"}, {From: "mount://logs", At: "/d"}},
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	if err := s.Resolved(); err != nil {
		t.Errorf("a mount was taken for a local file: %v", err)
	}
	if got := s.Mounts(); !slices.Equal(got, []string{"data", "logs"}) {
		t.Errorf("its mounts are %q", got)
	}
	if got := s.Local(); len(got) > 0 {
		t.Errorf("its local files are %q", got)
	}
}
