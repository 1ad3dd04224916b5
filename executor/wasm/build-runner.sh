#!/bin/sh
# Builds wasm-runner, the child process that runs WebAssembly with Wasmer, and
# puts it beside Wasmer's library, stripped:
#
#   executor/wasm/build-runner.sh DIR     DIR/wasm-runner and DIR/libwasmer.so
#   executor/wasm/build-runner.sh         the same, gzipped, into executor/wasm/embedded,
#                                         for `go build -tags embedrunner`
#
# Needs Go, gcc and binutils. Exits 3 where Wasmer has no library for this
# machine; a node then runs WebAssembly with wazero.
set -eu
cd "$(dirname "$0")/../.."

for tool in go "${CC:-gcc}" strip gzip; do
	command -v "$tool" >/dev/null || {
		echo "build-runner: $tool is missing; on Debian and Ubuntu: apt-get install gcc libc6-dev binutils gzip" >&2
		exit 1
	}
done
case "$(go env GOOS)/$(go env GOARCH)" in
linux/amd64) arch=linux-amd64 ;;
linux/arm64) arch=linux-aarch64 ;;
*)
	echo "build-runner: Wasmer has no library for $(go env GOOS)/$(go env GOARCH); build the node without the tag embedrunner" >&2
	exit 3
	;;
esac

go mod download github.com/wasmerio/wasmer-go
wasmer=$(go list -m -f '{{.Dir}}' github.com/wasmerio/wasmer-go)/wasmer/packaged
out=${1:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp "$wasmer/lib/$arch/libwasmer.so" "$work/libwasmer.so"
chmod u+w "$work/libwasmer.so"
strip --strip-unneeded "$work/libwasmer.so"
CGO_ENABLED=1 CGO_CFLAGS="-O2 -I$wasmer/include" CGO_LDFLAGS="-L$work -Wl,-rpath,\$ORIGIN" \
	go build -tags wasmer,custom_wasmer_runtime -trimpath -ldflags '-s -w' -o "$work/wasm-runner" ./executor/wasm/wasm-runner
chmod 0755 "$work/wasm-runner" "$work/libwasmer.so"

if [ -n "$out" ]; then
	mkdir -p "$out"
	mv "$work/wasm-runner" "$work/libwasmer.so" "$out/"
	exit 0
fi
mkdir -p executor/wasm/embedded
(cd "$work" && sha256sum wasm-runner libwasmer.so) >executor/wasm/embedded/SHA256SUMS
for file in wasm-runner libwasmer.so; do
	gzip -9 -n -c "$work/$file" >"executor/wasm/embedded/$file.gz.new"
	mv "executor/wasm/embedded/$file.gz.new" "executor/wasm/embedded/$file.gz"
done
