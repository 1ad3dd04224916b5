package storage

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/shoal-mesh/shoal/storage/storagetest"
)

// What goes in as an archive is the same as what goes in from the disk, and
// comes out as an archive that is the same again.
func TestTarRoundTrip(t *testing.T) {
	p := newPeer(t)
	for name, make := range storagetest.Trees() {
		t.Run(name, func(t *testing.T) {
			src := filepath.Join(t.TempDir(), "top")
			make(t, src)
			c := mustPut(t, p.Store, src)
			var archive bytes.Buffer
			if err := p.Tar(t.Context(), c, &archive); err != nil {
				t.Fatal(err)
			}
			st, err := p.Add(t.Context(), &archive, "")
			if err != nil || st.CID != c {
				t.Errorf("added as %v, %v, want %s", st, err, c)
			}
		})
	}
}

func archive(t testing.TB, entries ...tar.Header) io.Reader {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range entries {
		body := ""
		if h.Typeflag == tar.TypeReg {
			body, h.Size = "body", 4
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

func file(name string) tar.Header   { return tar.Header{Name: name, Typeflag: tar.TypeReg} }
func folder(name string) tar.Header { return tar.Header{Name: name + "/", Typeflag: tar.TypeDir} }

// Archives differ in order, in "./" and in whether they mention every folder.
func TestAddTakesAnyOrder(t *testing.T) {
	p := newPeer(t)
	link := tar.Header{Name: "top/a/link", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}
	dotLink := link
	dotLink.Name = "./" + link.Name
	want := ""
	for _, entries := range [][]tar.Header{
		{folder("top"), folder("top/a"), file("top/a/x"), link, file("top/b")},
		{file("top/b"), link, file("top/a/x"), folder("top/a"), folder("top")},
		{folder("."), file("./top/a/x"), file("./top/b"), dotLink, folder("./top/a")},
	} {
		st, err := p.Add(t.Context(), archive(t, entries...), "")
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = st.CID
		}
		if st.CID != want || st.Kind != Folder {
			t.Errorf("added as %v, want %s", st, want)
		}
	}
	if pins := p.pins(t); len(pins) != 1 || pins[0].Name != "top" {
		t.Errorf("the pins are %v", pins)
	}
	st, err := p.Add(t.Context(), archive(t, file("one file")), "")
	if err != nil || st.Kind != File || st.Size != 4 {
		t.Errorf("one file: %v, %v", st, err)
	}
}

func TestAddRefuses(t *testing.T) {
	p := newPeer(t)
	odd := func(kind byte) tar.Header { return tar.Header{Name: "top/odd", Typeflag: kind, Linkname: "top/x"} }
	for name, entries := range map[string][]tar.Header{
		"nothing":         nil,
		"only a dot":      {folder(".")},
		"absolute":        {file("/etc/passwd")},
		"above":           {file("../x")},
		"above in it":     {file("top/../../x")},
		"back and forth":  {file("top/../top/x")},
		"two at the top":  {file("a"), file("b")},
		"twice":           {file("top/x"), file("top/x")},
		"file and folder": {file("top"), file("top/x")},
		"folder and file": {file("top/x/y"), file("top/x")},
		"through a link":  {{Name: "top/l", Linkname: "/", Typeflag: tar.TypeSymlink}, file("top/l/x")},
		"character dev":   {odd(tar.TypeChar)},
		"block dev":       {odd(tar.TypeBlock)},
		"pipe":            {odd(tar.TypeFifo)},
		"hard link":       {file("top/x"), odd(tar.TypeLink)},
		"setuid":          {{Name: "top", Typeflag: tar.TypeReg, Mode: 0o4755}},
		"setgid":          {{Name: "top", Typeflag: tar.TypeReg, Mode: 0o2755}},
		"too deep":        {file(strings.Repeat("d/", maxDepth) + "x")},
	} {
		st, err := p.Add(t.Context(), archive(t, entries...), "")
		var refused *RefusedError
		if !errors.As(err, &refused) {
			t.Errorf("%s: want a RefusedError, got %v, %v", name, st, err)
		}
	}
	for name, r := range map[string]io.Reader{
		"no archive": strings.NewReader(strings.Repeat("no archive ", 100)),
		"cut short":  io.LimitReader(archive(t, file("top/x"), file("top/y")), 600),
		// As of a reader that finds out at the end that the whole is not what was meant.
		"bad at its end": io.MultiReader(archive(t, file("top/x")), bytes.NewReader(make([]byte, 1<<16)), iotest.ErrReader(errors.New("it is another"))),
	} {
		if st, err := p.Add(t.Context(), r, ""); err == nil {
			t.Errorf("%s: added as %v", name, st)
		}
	}
	if pins := p.pins(t); len(pins) != 0 {
		t.Errorf("the pins are %v", pins)
	}
}
