package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCount(t *testing.T) {
	for _, c := range []struct {
		text string
		want map[string]int
	}{
		{"", map[string]int{}},
		{"Light, _light_; LIGHT", map[string]int{"light": 3}},
		{"publish'd 'tis", map[string]int{"publish'd": 1, "tis": 1}},
		{"rock ''n' roll'", map[string]int{"rock": 1, "n": 1, "roll": 1}},
		{"a''b", map[string]int{"a": 1, "b": 1}},
		{"Phænomena 1730", map[string]int{"phænomena": 1, "1730": 1}},
	} {
		got := map[string]int{}
		n, err := count(got, strings.NewReader(c.text))
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, v := range c.want {
			sum += v
		}
		if !maps.Equal(got, c.want) || n != sum {
			t.Errorf("count(%q) = %d, %v, want %d, %v", c.text, n, got, sum, c.want)
		}
	}
}

func TestRunOnTheBook(t *testing.T) {
	out := t.TempDir()
	var stdout bytes.Buffer
	if err := run(&stdout, []string{"books"}, 3, out); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(stdout.String(), "\n"); len(lines) != 5 || !strings.HasSuffix(lines[1], "  the") {
		t.Errorf("stdout:\n%s", &stdout)
	}
	all, err := os.ReadFile(filepath.Join(out, "counts.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(all, []byte("the\t")) || !bytes.Contains(all, []byte("\nprism\t")) {
		t.Errorf("counts.tsv begins %.60q and should name the prism", all)
	}
}

func TestRunSaysWhatIsMissing(t *testing.T) {
	var stdout bytes.Buffer
	if err := run(&stdout, []string{t.TempDir()}, 3, ""); err == nil || !strings.Contains(err.Error(), "no .txt file") {
		t.Errorf("an empty folder: %v", err)
	}
	if err := run(&stdout, []string{"nowhere"}, 3, ""); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a missing path: %v", err)
	}
}
