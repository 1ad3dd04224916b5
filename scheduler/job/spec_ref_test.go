package job

import (
	"slices"
	"strings"
	"testing"
)

func TestLocalAndReplace(t *testing.T) {
	s := Spec{
		Task:   Task{WASM: &WASM{Module: "./a.wasm"}},
		Inputs: []Input{{From: "books", At: "/books"}, {From: "ipfs://" + someCID, At: "/log"}, {From: "books", At: "/again"}},
	}
	if got, want := s.Local(), []string{"./a.wasm", "books"}; !slices.Equal(got, want) {
		t.Fatalf("Local() = %q, want %q", got, want)
	}
	if err := s.Resolved(); err == nil || !strings.Contains(err.Error(), `"./a.wasm" is a path on the submitter's disk`) {
		t.Errorf("Resolved() = %v", err)
	}
	ref := "ipfs://" + someCID
	done := s.Replace(map[string]string{"./a.wasm": ref, "books": ref + "/books"})
	if err := done.Resolved(); err != nil {
		t.Error(err)
	}
	if s.Task.WASM.Module != "./a.wasm" || s.Inputs[0].From != "books" {
		t.Errorf("Replace changed its receiver: %+v", s)
	}
	if got := done.Inputs[2].From; got != ref+"/books" {
		t.Errorf("the second use became %q", got)
	}
}

func TestParseIPFS(t *testing.T) {
	id, sub, err := ParseIPFS("ipfs://" + someCID + "/a/b")
	if err != nil || id.String() != someCID || sub != "a/b" {
		t.Errorf("got %v, %q, %v", id, sub, err)
	}
	for _, bad := range []string{"", "ipfs://", someCID, "ipfs://" + someCID + "/", "ipfs://" + someCID + "//a", "ipfs://" + someCID + "/a/", "ipfs://" + someCID + "/./a"} {
		if _, _, err := ParseIPFS(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"name", "task", "inputs", "outputs", "resources", "where", "timeout"}
	for got, want := range map[string]string{"ouputs": "outputs", "Name": "name", "input": "inputs", "res": "resources", "tsak": "task", "time-out": "timeout", "zzz": "", "": "", "container": ""} {
		if near := Nearest(got, names); near != want {
			t.Errorf("Nearest(%q) = %q, want %q", got, near, want)
		}
	}
}
