#!/usr/bin/env bash
# notices.sh BINARY: prints the licences of every module that the binary carries,
# read from the module cache that it was built from. Whoever hands the binary on
# hands this on with it.
set -euo pipefail
cd "$(dirname "$0")/.."
shopt -s nocaseglob nullglob
binary=${1:?usage: notices.sh BINARY}

cat NOTICE
# The runner that carries Wasmer is a program of its own, inside the binary.
{
	go version -m "$binary" | awk '$1 == "dep" { print $2 }'
	echo github.com/wasmerio/wasmer-go
} | sort -u | while read -r module; do
	read -r version dir < <(go list -m -f '{{.Version}} {{.Dir}}' "$module")
	printf '\n================ %s %s\n' "$module" "$version"
	found=
	for f in "$dir"/{licen[cs]e,copying,unlicense,notice}*; do
		[ -f "$f" ] || continue
		found=1
		printf '\n---- %s\n\n' "$(basename "$f")"
		cat "$f"
	done
	[ -n "$found" ] || echo "(no licence file in the module; see https://pkg.go.dev/$module?tab=licenses)"
done
