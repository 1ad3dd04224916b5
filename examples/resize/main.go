// Command resize scales photographs down: an example of a WebAssembly job in Go
// that reads and writes binary files and works with a module from elsewhere
// (golang.org/x/image).
//
// It is an ordinary program of ordinary files, so it also runs as it is:
//
//	go run ./examples/resize --width 240 --out /tmp examples/resize/photo.jpg
package main

import (
	"errors"
	"flag"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/image/draw"
)

const quality = 85 // of the JPEG that is written; more is hardly seen at this size

func main() {
	width := flag.Int("width", 240, "width of the result in pixels; the height follows")
	out := flag.String("out", ".", "folder for the result, which keeps the photograph's name")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: resize [--width PIXELS] [--out FOLDER] PHOTO.jpg...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 || *width < 1 {
		flag.Usage()
		os.Exit(2)
	}
	for _, path := range flag.Args() {
		if err := resize(os.Stdout, path, *width, *out); err != nil {
			fmt.Fprintf(os.Stderr, "resize: %s: %v\n", path, err)
			os.Exit(1)
		}
	}
}

// resize writes the photograph at path, width pixels wide, below out, and says
// to w what it did.
func resize(w io.Writer, path string, width int, out string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	photo, err := jpeg.Decode(f)
	if err != nil {
		return err
	}
	small, err := scale(photo, width)
	if err != nil {
		return err
	}
	size, err := write(filepath.Join(out, filepath.Base(path)), small)
	if err != nil {
		return err
	}
	from, to := photo.Bounds().Size(), small.Bounds().Size()
	_, err = fmt.Fprintf(w, "%s: %d×%d → %d×%d, %d bytes\n", filepath.Base(path), from.X, from.Y, to.X, to.Y, size)
	return err
}

// scale makes photo width pixels wide. Catmull-Rom weighs every pixel of the
// original, so that fine patterns do not turn into coarse ones.
func scale(photo image.Image, width int) (image.Image, error) {
	from := photo.Bounds()
	if from.Empty() {
		return nil, errors.New("the photograph has no pixels")
	}
	if width >= from.Dx() {
		return nil, fmt.Errorf("it is %d pixels wide already: choose a --width below that", from.Dx())
	}
	small := image.NewRGBA(image.Rect(0, 0, width, max(1, from.Dy()*width/from.Dx())))
	draw.CatmullRom.Scale(small, small.Bounds(), photo, from, draw.Src, nil)
	return small, nil
}

func write(path string, img image.Image) (size int64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	if err := jpeg.Encode(f, img, &jpeg.Options{Quality: quality}); err != nil {
		f.Close()
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return 0, err
	}
	return info.Size(), f.Close()
}
