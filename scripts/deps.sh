#!/usr/bin/env bash
# Makes sure that everything is here that builds and tests Shoal: Go, a C compiler
# (for the WebAssembly runner and the race detector) and clang with wasi-libc and
# its runtime (for WebAssembly from C); for root also iproute2 (for the lab's network
# namespaces, which nobody else may make). What is missing is installed with apt;
# when nothing is missing, apt is not touched. Asks no question.
set -eu
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say() { printf 'deps: %s\n' "$@"; }
fail() {
	printf 'deps: %s\n' "$@" >&2
	exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Each compiler is tried, not only looked for: a compiler without its headers or
# libraries is the usual trouble.
compiles() {
	printf '#include <stdio.h>\nint main(void) { puts(""); return 0; }\n' >"$scratch/t.c"
	"$@" "$scratch/t.c" >/dev/null 2>&1
}
c_works() { compiles gcc -pthread -o "$scratch/t"; }
wasi_works() { compiles clang --target=wasm32-wasi -Os -nodefaultlibs -lc -o "$scratch/t.wasm"; }
# The line that README.md gives, which needs clang's runtime as well.
plain_wasi_works() { compiles clang --target=wasm32-wasi -O2 -o "$scratch/t.wasm"; }

missing_packages() {
	have git || echo git
	have make || echo make
	have gzip || echo gzip
	have strip || echo binutils
	have gcc && c_works || echo gcc libc6-dev
	have clang && wasi_works || echo clang lld wasi-libc
	[ "$(id -u)" != 0 ] || have ip || echo iproute2
	[ -e /etc/ssl/certs/ca-certificates.crt ] || [ -d /etc/pki ] || echo ca-certificates
}

install_packages() {
	local root=()
	if ! have apt-get; then
		fail "missing here: $*" \
			"This machine has no apt. Install what your system calls these, then run make again."
	fi
	if [ "$(id -u)" != 0 ]; then
		if ! have sudo || ! sudo -n true 2>/dev/null; then
			fail "missing here: $*" \
				"Installing needs root. Run this, then make again:" \
				"    sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
		fi
		root=(sudo -n)
	fi
	say "installing with apt: $*"
	${root[@]+"${root[@]}"} apt-get update -qq ||
		say "apt-get update did not succeed; trying with the package lists that are here"
	${root[@]+"${root[@]}"} env DEBIAN_FRONTEND=noninteractive \
		apt-get install -qq -y --no-install-recommends "$@" >"$scratch/apt.log" 2>&1 || {
		tail -n 15 "$scratch/apt.log" >&2
		fail "apt could not install: $*" "The lines above say why."
	}
}

# The runtime has a package of its own, named after clang's version, which older
# releases do not have. Shoal itself does without.
install_wasi_runtime() {
	local package
	package=libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev-wasm32
	# Where apt has no lists yet it knows no package; installing one fetches them.
	if have apt-get && { offered "$package" || ! ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1; }; then
		# In a process of its own, as it ends it when it fails.
		(install_packages "$package") && plain_wasi_works && return
	fi
	say "clang has no runtime for WebAssembly here: $(clang --target=wasm32-wasi --print-libgcc-file-name)" \
		"is missing, and $package could not be installed." \
		"Shoal builds without it. For C programs of your own install it, use the clang of" \
		"https://github.com/WebAssembly/wasi-sdk, or try the flags -nodefaultlibs -lc."
}
offered() { apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'; }

# Go itself is not installed: distributions carry older ones than Shoal needs.
check_go() {
	local want found
	want=$(awk '$1 == "go" { print $2 }' go.mod)
	if ! have go; then
		if [ -x /usr/local/go/bin/go ]; then
			fail "Go is in /usr/local/go/bin, but that is not on PATH. Run:" \
				"    export PATH=\$PATH:/usr/local/go/bin"
		fi
		fail "Go is missing; Shoal needs Go $want or newer. Get it from https://go.dev/dl/, for example:" \
			"    curl -fsSL https://go.dev/dl/go$want.linux-$(go_arch).tar.gz | sudo tar -C /usr/local -xz" \
			"    export PATH=\$PATH:/usr/local/go/bin"
	fi
	# In the checkout, so that a Go that fetches newer ones by itself may do so.
	found=$(go env GOVERSION 2>"$scratch/go.log") || found=
	found=${found#go}
	if [ -z "$found" ] || [ "$(printf '%s\n%s\n' "$want" "$found" | sort -V | head -n 1)" != "$want" ]; then
		[ ! -s "$scratch/go.log" ] || cat "$scratch/go.log" >&2
		fail "Go $want or newer is needed; this one is $(GOTOOLCHAIN=local go version 2>/dev/null | cut -d' ' -f3 || echo unknown)." \
			"Get a newer one from https://go.dev/dl/, or let this one fetch it: export GOTOOLCHAIN=auto"
	fi
}

go_arch() {
	case $(uname -m) in
	x86_64) echo amd64 ;;
	aarch64) echo arm64 ;;
	*) uname -m ;;
	esac
}

missing=$(missing_packages)
if [ -n "$missing" ]; then
	# shellcheck disable=SC2086 # a list of words
	install_packages $missing
	still=$(missing_packages)
	[ -z "$still" ] || fail "installed, but still not working: $still" \
		"Try them by hand: gcc on a C file, clang --target=wasm32-wasi likewise."
fi
plain_wasi_works || install_wasi_runtime
check_go
say "all there: $(go env GOVERSION), gcc $(gcc -dumpfullversion), clang $(clang -dumpversion)"
