#!/usr/bin/env bash
# install.sh BINARY FOLDER: installs the binary as FOLDER/shoal, and as FOLDER/node
# too unless PATH has another node (Node.js, most likely), which stays as it is.
set -eu
[ $# = 2 ] || {
	echo "usage: install.sh BINARY FOLDER" >&2
	exit 2
}
binary=$1 folder=$2

mkdir -p "$folder" && [ -w "$folder" ] || {
	echo "install: $folder cannot be written; try: sudo make install, or make install PREFIX=\$HOME/.local" >&2
	exit 1
}
# A new file, then a rename: a node that runs keeps the file it was started from.
install -m 755 "$binary" "$folder/shoal.new"
mv "$folder/shoal.new" "$folder/shoal"
echo "installed $folder/shoal"

other=$(command -v node || true)
if [ -z "$other" ] || [ "$(readlink -f "$other")" = "$(readlink -f "$folder/shoal")" ]; then
	ln -sf shoal "$folder/node"
	echo "installed $folder/node, which is the same"
else
	echo "left alone: $other; use shoal"
fi
case ":$PATH:" in
*":$folder:"*) ;;
*) echo "$folder is not on PATH; run: export PATH=\"$folder:\$PATH\"" ;;
esac
