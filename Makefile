# Every target works on a machine with Go and nothing else of ours: "deps"
# installs what is missing, as root by apt, else it prints the command.

SHELL   := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PREFIX  ?= /usr/local
DESTDIR ?=
ROUNDS  ?= 200
DURATION ?= 10m
ONCE    ?=
BENCH   ?=

BIN     := bin/moorfs
LINKS   := mount.moorfs mount.fuse.moorfs umount.moorfs umount.fuse.moorfs

# Tools that the tests run, and the packages that have them.
TOOLS    := fusermount3 getfattr setfacl mount setpriv unshare git rsync sqlite3 zip unzip vim.tiny python3
PACKAGES := fuse3 attr acl mount util-linux git rsync sqlite3 zip unzip vim-tiny python3

# Packages that send megabytes through real servers, where the race detector
# would only cost time; all others run under it.
SERVERS = ./s3backend/s3test
UNRACED = ./cache/remotetest
RACED   = $(shell go list ./... | grep -v -e /remotetest$$ -e /s3test$$)

.PHONY: help build demo test bench bench-compare lint clean install crash soak deps device servers FORCE

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: $(BIN) ## build bin/moorfs

$(BIN): FORCE
	@go build -o $@ ./cmd/moorfs

demo: deps device build ## a real S3 server with sample data, mounted (ONCE=1: a short tour that ends by itself)
	@$(BIN) demo $(if $(ONCE),--once)

test: deps device lint servers ## everything that must pass, a quarter of an hour on two cores
	go test -race -timeout 20m $(RACED)
	go test $(UNRACED)
	cd tests && go vet ./... && go test -p 2 -timeout 20m ./...

crash: deps device servers ## kill the daemon, and cut the power, at bad moments (ROUNDS=200 of each)
	cd tests && go test -count 1 -timeout 0 -v ./crash -crash.rounds $(ROUNDS) -crash.cuts $(ROUNDS)

soak: deps device servers ## everything goes wrong at once (DURATION=10m)
	cd tests && go test -count 1 -timeout 0 -v ./soak -soak.time $(DURATION)

bench: deps device servers ## measure beside references and peers, 20 minutes, into tests/bench/RESULTS.md (BENCH=name,name: these works, printed)
	cd tests && go run ./bench $(if $(BENCH),-only $(BENCH),-out bench/RESULTS.md)

bench-compare: deps device servers ## measure, and flag what is 20 % worse than tests/bench/RESULTS.json says (BENCH=name,name)
	cd tests && go run ./bench -compare bench/RESULTS.json $(if $(BENCH),-only $(BENCH))

lint: ## gofmt and go vet
	@unformatted=$$(gofmt -l cmd fs cache s3backend tests); \
	if [ -n "$$unformatted" ]; then echo "not as gofmt has it: $$unformatted" >&2; exit 1; fi
	go vet ./...

install: build ## install below PREFIX (/usr/local), and mount(8)'s helpers in /sbin
	install -D -m 0755 $(BIN) $(DESTDIR)$(PREFIX)/bin/moorfs
	install -d $(DESTDIR)/sbin
	for link in $(LINKS); do ln -sfn $(PREFIX)/bin/moorfs $(DESTDIR)/sbin/$$link; done

clean: ## remove what was built
	rm -rf bin

deps:
	@missing=; for tool in $(TOOLS); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing what is missing:$$missing"; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(PACKAGES); \
	else \
		echo "missing:$$missing. Install them with: sudo apt-get install $(PACKAGES)" >&2; exit 1; \
	fi

device:
	@if [ ! -c /dev/fuse ]; then \
		echo "no /dev/fuse: nothing can be mounted here. Load the module (modprobe fuse); in a container, pass the device in (--device /dev/fuse --cap-add SYS_ADMIN)." >&2; exit 1; \
	fi

# The S3 servers of the tests, pinned in tests/servers/go.mod, are built once
# and kept outside the tree: by the tests that start each of them, so that no
# other test's time-out meets a build of minutes.
servers:
	go test -count 1 -timeout 30m $(SERVERS)

FORCE:
