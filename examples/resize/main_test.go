package main

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestResizeThePhotograph(t *testing.T) {
	out := t.TempDir()
	var stdout bytes.Buffer
	if err := resize(&stdout, "photo.jpg", 240, out); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(stdout.String(), "photo.jpg: 600×400 → 240×160, ") {
		t.Errorf("stdout: %s", &stdout)
	}
	f, err := os.Open(filepath.Join(out, "photo.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := jpeg.DecodeConfig(f)
	if err != nil || c.Width != 240 || c.Height != 160 {
		t.Errorf("the result is %d×%d, %v", c.Width, c.Height, err)
	}
}

// A fine chessboard must become an even grey: a scaler that skips pixels makes
// it black, white or a coarser pattern.
func TestScaleWeighsEveryPixel(t *testing.T) {
	board := image.NewGray(image.Rect(0, 0, 160, 160))
	for y := range 160 {
		for x := range 160 {
			board.SetGray(x, y, color.Gray{Y: uint8((x + y) % 2 * 255)})
		}
	}
	small, err := scale(board, 20)
	if err != nil {
		t.Fatal(err)
	}
	for y := 2; y < 18; y++ {
		for x := 2; x < 18; x++ {
			if g := color.GrayModel.Convert(small.At(x, y)).(color.Gray).Y; g < 118 || g > 138 {
				t.Fatalf("pixel %d,%d is %d, want about 128", x, y, g)
			}
		}
	}
}

func TestScaleRefuses(t *testing.T) {
	if _, err := scale(image.NewGray(image.Rect(0, 0, 10, 10)), 10); err == nil {
		t.Error("it is to make photographs smaller only")
	}
	if _, err := scale(image.NewGray(image.Rectangle{}), 5); err == nil {
		t.Error("there is nothing to scale")
	}
}

func TestResizeNoJPEG(t *testing.T) {
	if err := resize(&bytes.Buffer{}, "main.go", 10, t.TempDir()); err == nil {
		t.Error("source code is no photograph")
	}
}
