// Command wordcount counts the words of books: an example of a WebAssembly job
// in Go that reads a folder and leaves a file. It prints the words that occur
// most often, and writes all of them, tab-separated, to counts.tsv.
//
// It is an ordinary program of ordinary files, so it also runs as it is:
//
//	go run ./examples/wordcount --top 5 --out /tmp examples/wordcount/books
package main

import (
	"bufio"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

func main() {
	top := flag.Int("top", 10, "print this many of the most frequent words")
	out := flag.String("out", "", "folder in which to write counts.tsv; none is written if empty")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: wordcount [--top N] [--out FOLDER] FILE-OR-FOLDER...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(os.Stdout, flag.Args(), *top, *out); err != nil {
		fmt.Fprintln(os.Stderr, "wordcount:", err)
		os.Exit(1)
	}
}

// run counts the books at paths, prints the top words to w and writes all of
// them below out.
func run(w io.Writer, paths []string, top int, out string) error {
	counts := make(map[string]int)
	var books, total int
	for _, p := range paths {
		files, err := textFiles(p)
		if err != nil {
			return err
		}
		for _, f := range files {
			n, err := countFile(counts, f)
			if err != nil {
				return err
			}
			books++
			total += n
		}
	}
	if books == 0 {
		return fmt.Errorf("no .txt file in %s", strings.Join(paths, ", "))
	}
	words := ranked(counts)
	fmt.Fprintf(w, "%d words, %d of them different, in %d book(s)\n", total, len(words), books)
	for _, c := range words[:min(max(top, 0), len(words))] {
		fmt.Fprintf(w, "%7d  %s\n", c.n, c.word)
	}
	if out == "" {
		return nil
	}
	return write(filepath.Join(out, "counts.tsv"), words)
}

// textFiles is path itself if it is a file, and the .txt files below it if it
// is a folder, in order of their names.
func textFiles(path string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && (p == path || strings.HasSuffix(p, ".txt")) {
			files = append(files, p)
		}
		return nil
	})
	return files, err
}

// countFile adds the words of the file at path to counts and returns how many
// they were.
func countFile(counts map[string]int, path string) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if n, err = count(counts, f); err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	return n, nil
}

// count adds the words of r to counts and returns how many they were. A word is
// a run of letters and digits; an apostrophe between two of them belongs to it.
func count(counts map[string]int, r io.Reader) (n int, err error) {
	in := bufio.NewReader(r)
	var word strings.Builder
	apostrophe := false // the last rune was one, and a word precedes it
	end := func() {
		if word.Len() > 0 {
			counts[word.String()]++
			n++
		}
		word.Reset()
		apostrophe = false
	}
	for {
		c, _, err := in.ReadRune()
		if err != nil {
			end()
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return n, err
		}
		switch {
		case unicode.IsLetter(c) || unicode.IsDigit(c):
			if apostrophe {
				word.WriteByte('\'')
				apostrophe = false
			}
			word.WriteRune(unicode.ToLower(c))
		case (c == '\'' || c == '’') && word.Len() > 0 && !apostrophe:
			apostrophe = true
		default:
			end()
		}
	}
}

type counted struct {
	word string
	n    int
}

// ranked lists the words, the most frequent first and equals by their letters,
// so that the same books always give the same bytes, hence the same CID.
func ranked(counts map[string]int) []counted {
	words := make([]counted, 0, len(counts))
	for w, n := range counts {
		words = append(words, counted{w, n})
	}
	slices.SortFunc(words, func(a, b counted) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.word, b.word))
	})
	return words
}

func write(path string, words []counted) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for _, c := range words {
		fmt.Fprintf(w, "%s\t%d\n", c.word, c.n)
	}
	if err := w.Flush(); err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.Close()
}
