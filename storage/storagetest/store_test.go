package storagetest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/shoal-mesh/shoal/storage/storagetest"
)

func TestStore(t *testing.T) {
	storagetest.Test(t, func(*testing.T) storagetest.Storer { return storagetest.New() })
}

func TestFault(t *testing.T) {
	s := storagetest.New()
	broken := errors.New("broken")
	s.Fault = func(_ context.Context, op, _ string) error {
		if op == "put" {
			return broken
		}
		return nil
	}
	if _, _, err := s.Put(t.Context(), t.TempDir(), ""); !errors.Is(err, broken) {
		t.Errorf("want the fault, got %v", err)
	}
}
