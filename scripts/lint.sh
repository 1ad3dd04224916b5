#!/usr/bin/env bash
# lint.sh STATICCHECK: checks format, vet and staticcheck of everything in the module.
set -eu
cd "$(dirname "$0")/.."
staticcheck=${1:?usage: lint.sh MODULE@VERSION of staticcheck}

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
	printf 'lint: not formatted; run gofmt -w on:\n%s\n' "$unformatted" >&2
	exit 1
fi
# Built as node is, so that what was compiled for the one serves the other.
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath"
go vet ./...
go run "$staticcheck" ./...
# What only `make lab` builds.
go vet -tags lab ./scripts/lab
go run "$staticcheck" -tags lab ./scripts/lab
GOOS=wasip1 GOARCH=wasm go vet ./examples/...

# What is built only with Wasmer: in the node, once the runner is there to embed,
# and in the runner, with Wasmer's header.
[ ! -f executor/wasm/embedded/wasm-runner.gz ] || go vet -tags embedrunner ./executor/wasm
wasmer=$(go list -m -f '{{.Dir}}' github.com/wasmerio/wasmer-go)/wasmer/packaged
export CGO_ENABLED=1 CGO_CFLAGS="-I$wasmer/include"
go vet -tags wasmer,custom_wasmer_runtime ./executor/wasm/wasm-runner
go run "$staticcheck" -tags wasmer,custom_wasmer_runtime ./executor/wasm/wasm-runner
echo "lint: gofmt, vet, staticcheck: nothing to say"
