// Probe is the program that the conformance tests run. Its arguments are
// commands, done in order; package fake knows the same ones.
//
//	print=TEXT eprint=TEXT   a line on stdout, on stderr
//	args env=NAME            all arguments, one of the environment
//	read=PATH                a file, to stdout
//	write=PATH:TEXT          a file, made anew
//	list=PATH                a folder, one name a line
//	spam=N                   N bytes to stdout
//	sleep=DURATION hang spin wait, for ever, and busily
//	exit=CODE
package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	for _, arg := range os.Args[1:] {
		if err := do(arg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func do(arg string) error {
	verb, value, _ := strings.Cut(arg, "=")
	switch verb {
	case "print":
		fmt.Println(value)
	case "eprint":
		fmt.Fprintln(os.Stderr, value)
	case "args":
		fmt.Printf("%q\n", os.Args[1:])
	case "env":
		fmt.Printf("%s=%s of %d\n", value, os.Getenv(value), len(os.Environ()))
	case "exit":
		code, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		os.Exit(code)
	case "sleep":
		d, err := time.ParseDuration(value)
		if err != nil {
			return err
		}
		time.Sleep(d)
	case "hang":
		for {
			time.Sleep(time.Hour)
		}
	case "spin":
		for {
		}
	case "spam":
		return spam(value)
	default:
		return files(verb, value)
	}
	return nil
}

func spam(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil {
		return err
	}
	block := bytes.Repeat([]byte("x"), 1<<10)
	for ; n > 0; n -= len(block) {
		if _, err := os.Stdout.Write(block[:min(n, len(block))]); err != nil {
			return err
		}
	}
	return nil
}

func files(verb, value string) error {
	switch verb {
	case "read":
		b, err := os.ReadFile(value)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(b)
		return err
	case "write":
		path, text, _ := strings.Cut(value, ":")
		return os.WriteFile(path, []byte(text), 0o666)
	case "list":
		list, err := os.ReadDir(value)
		for _, d := range list {
			fmt.Println(d.Name())
		}
		return err
	}
	return fmt.Errorf("unknown command %q", verb)
}
