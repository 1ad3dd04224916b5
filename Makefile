# Shoal. `make help` says what there is to do; README.md says how to go on.

GO          ?= go
PREFIX      ?= $(shell [ "$$(id -u)" = 0 ] && echo /usr/local || echo "$$HOME/.local")
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0

# Go writes the commit into the binary, where there is one that git will show.
VCS         := $(shell git rev-parse -q --verify HEAD >/dev/null 2>&1 && echo auto || echo false)
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

# node is one static file. -trimpath keeps the folders of the machine that built it
# out of it, so that the same source gives the same bytes anywhere.
BUILD       := CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=$(VCS)
WASM_GO     := CGO_ENABLED=0 GOOS=wasip1 GOARCH=wasm $(GO) build -trimpath -buildvcs=false -ldflags='-s -w'
# Where clang's runtime for WebAssembly is not to be had (see scripts/deps.sh), small programs do without.
WASM_C       = clang --target=wasm32-wasi -Os -s $(shell [ -e "$$(clang --target=wasm32-wasi --print-libgcc-file-name)" ] || echo -nodefaultlibs -lc)

# What goes into the binary. A make that finds none of it newer builds nothing.
SOURCES     := go.mod go.sum $(shell find cli node scheduler executor storage p2p -type f -not -name '*_test.go' -not -path '*/testdata/*' -not -path '*/embedded/*')
RUNNER      := go.mod go.sum $(shell find executor/wasm -type f -not -name '*_test.go' -not -path '*/testdata/*' -not -path '*/embedded/*')
GUESTS      := examples/wordcount/wordcount.wasm examples/resize/resize.wasm examples/tiny/tiny.wasm examples/errors/errors.wasm

# Built as the node is, with the same runner inside, so that both are compared as they are.
BENCH       := CGO_ENABLED=0 $(GO) run -trimpath -tags "$$(cat bin/.tags)" ./bench

.DELETE_ON_ERROR:
.DEFAULT_GOAL := build
.PHONY: help deps build examples demo test lab lint bench bench-record install notices clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what is missing to build and test (apt; asks nothing)
	@scripts/deps.sh

build: bin/node ## Build bin/node, with Wasmer inside

examples: $(GUESTS) ## Build the WebAssembly programs in examples/

demo: deps bin/node $(GUESTS) ## Found a swarm of three nodes here, run two jobs in it, clean up
	@scripts/demo.sh

test: deps bin/node $(GUESTS) lint ## Lint, and run every test: what CI runs, besides the demo
	SHOAL_NODE_BINARY=$(CURDIR)/bin/node $(GO) test -race -shuffle=on ./...

lab: deps bin/node $(GUESTS) ## Test on machines of their own: isolation, the README, real IPFS (network namespaces; needs root)
	CGO_ENABLED=0 $(GO) test -trimpath -tags lab -count=1 -v -parallel 16 -timeout 40m ./scripts/lab

lint: ## Check format, vet and staticcheck
	scripts/lint.sh $(STATICCHECK)

bench bench-record: bin/node $(GUESTS)
bench: ## Measure; bench/README.md says what, and explains the figures
	$(BENCH)
bench-record: ## Measure, and write the figures into bench/README.md
	$(BENCH) -record bench/README.md

install: bin/node ## Install as shoal, and as node where PATH has no other (PREFIX=/usr/local)
	@scripts/install.sh bin/node $(PREFIX)/bin

notices: bin/node ## Collect the licences of what bin/node carries in bin/NOTICES
	scripts/notices.sh bin/node >bin/NOTICES

clean: ## Remove what make has built
	rm -rf bin demo-results executor/wasm/embedded $(GUESTS)

# The version is a file, so that a new commit rebuilds the binary and the same one does not.
bin/.version: always
	@mkdir -p bin
	@[ "$$(cat $@ 2>/dev/null)" = "$(VERSION)" ] || echo "$(VERSION)" >$@
.PHONY: always

# The runner is the program that holds Wasmer: a C library, hence cgo, hence a
# program of its own, which node carries inside and starts for each job. Where
# Wasmer has no library (exit 3), node is built without and runs jobs with wazero.
bin/.tags: $(RUNNER)
	@mkdir -p bin
	executor/wasm/build-runner.sh && echo embedrunner >$@ || { [ $$? = 3 ] && echo >$@; }

bin/node: bin/.version bin/.tags $(SOURCES)
	$(BUILD) -tags "$$(cat bin/.tags)" -ldflags='-s -w' -o $@ ./cli/node

examples/wordcount/wordcount.wasm: go.mod examples/wordcount/main.go
	$(WASM_GO) -o $@ ./examples/wordcount

examples/resize/resize.wasm: go.mod examples/resize/main.go
	$(WASM_GO) -o $@ ./examples/resize

examples/tiny/tiny.wasm: examples/tiny/tiny.c
	$(WASM_C) -o $@ $<

examples/errors/errors.wasm: examples/errors/errors.c
	$(WASM_C) -o $@ $<
