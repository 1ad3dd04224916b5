// Tries to read, list and change what its arguments name, in order, and prints
// what came of each:
//
//	read=PATH         the file's content, or "no"
//	list=PATH         the folder's names, or "no"
//	change=PATH       every way to change it that worked, or "no"
//	until=PATH:WORD   waits until the file holds the word, and prints the file
package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	for _, arg := range os.Args[1:] {
		verb, path, _ := strings.Cut(arg, "=")
		fmt.Printf("%s: %s\n", arg, do(verb, path))
	}
}

func do(verb, path string) string {
	switch verb {
	case "read":
		b, err := os.ReadFile(path)
		return or(err, strings.TrimSpace(string(b)))
	case "list":
		list, err := os.ReadDir(path)
		var names []string
		for _, d := range list {
			names = append(names, d.Name())
		}
		return or(err, strings.Join(names, " "))
	case "change":
		return change(path)
	case "until":
		path, word, _ := strings.Cut(path, ":")
		for {
			if b, _ := os.ReadFile(path); strings.Contains(string(b), word) {
				return strings.Join(strings.Fields(string(b)), " ")
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return "unknown"
}

func or(err error, text string) string {
	if err != nil {
		return "no"
	}
	return text
}

func change(path string) string {
	var worked []string
	try := func(what string, err error) {
		if err == nil {
			worked = append(worked, what)
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	try("write", err)
	if err == nil {
		f.Close()
	}
	f, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o666)
	try("append", err)
	if err == nil {
		f.Close()
	}
	_, err = os.Create(path + ".new")
	try("create", err)
	try("truncate", os.Truncate(path, 0))
	try("times", os.Chtimes(path, time.Now(), time.Now()))
	try("mkdir", os.Mkdir(path+".d", 0o777))
	try("rename", os.Rename(path, path+".moved"))
	try("link", os.Link(path, path+".link"))
	try("symlink", os.Symlink("x", path+".sym"))
	try("link to outputs", os.Link(path, "/out/stolen"))
	try("rename to outputs", os.Rename(path, "/out/stolen"))
	try("remove", os.Remove(path))
	if len(worked) == 0 {
		return "no"
	}
	return strings.Join(worked, ", ")
}
