# What a developer types. `make` alone lists it. Everything needs Go and nothing else, unless its line says so.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/zenconn/server/core/cli.linked=$(VERSION)
BUILD    = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'

# Arguments of go test for `make test` and `make race`, such as TESTFLAGS='-run Recovery' PACKAGES=./core/...
TESTFLAGS ?=
# Those that take longest come first, so that the others are tested beside them.
PACKAGES  ?= ./test/... ./plugins/... ./hooks/... ./...
# A package that takes longer than that hangs: it is ended with the stacks of all its goroutines. Tests that run in parallel mostly wait.
LIMITS    := -timeout 12m -parallel 8
# How long `make fuzz` spends on each target.
FUZZTIME  ?= 10s

PLATFORMS := linux/amd64 linux/arm64 darwin/arm64 windows/amd64
GOLANGCI_LINT := v2.15.0

.DEFAULT_GOAL := help
.PHONY: help build test race lint fmt fuzz cross bench-smoke bench-all soak generate proto docker clean

help: ## List the targets
	@awk -F ': .*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the program: ./zenconn
	$(BUILD) -o zenconn$(shell $(GO) env GOEXE) .

test: node-modules ## Run every test this machine can run and list what it cannot (ZENCONN_TEST_REQUIRE=all: that is a failure)
	@$(GO) run ./internal/testreport $(LIMITS) $(TESTFLAGS) $(PACKAGES)

race: node-modules ## The same with the race detector (needs a C compiler)
	@$(GO) run ./internal/testreport $(LIMITS) -race $(TESTFLAGS) $(PACKAGES)

# The Node packages of the end-to-end tests, when there is Node. Without them those tests skip and say so.
.PHONY: node-modules
node-modules: $(patsubst %package-lock.json,%node_modules/.package-lock.json,$(wildcard test/package-lock.json plugins/sdk/assemblyscript/package-lock.json))

%/node_modules/.package-lock.json: %/package-lock.json
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
		echo 'npm ci in $*/'; \
		cd $* && if npm ci --no-audit --no-fund --loglevel=error; then touch node_modules/.package-lock.json; \
		else echo 'npm ci failed: the tests that need Node packages will say what they miss'; fi; \
	fi

lint: ## Run golangci-lint, installed by go install when this version is missing
	@lint=$$(command -v golangci-lint || echo "$$($(GO) env GOPATH)/bin/golangci-lint"); \
	if ! "$$lint" version 2>/dev/null | grep -qF 'version $(GOLANGCI_LINT:v%=%) '; then \
		echo 'go install golangci-lint $(GOLANGCI_LINT)'; \
		$(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT) || exit; \
		lint=$$($(GO) env GOPATH)/bin/golangci-lint; \
	fi; \
	"$$lint" run ./...

fmt: ## Format the code
	gofmt -w $$(git ls-files -co --exclude-standard '*.go')

# One program for all targets of a package: building it takes longer than a short run.
fuzz: ## Run each fuzz target for FUZZTIME (10s; 300x: as many times)
	@targets=$$(grep -rHoE --include='*_test.go' --exclude-dir=node_modules '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's#/[^/]*:func # #' | sort); \
	[ -n "$$targets" ] || { echo 'no fuzz target found'; exit 1; }; \
	dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; built=; \
	echo "$$targets" | while read -r package target; do \
		echo "$$package $$target"; \
		[ "$$built" = "$$package" ] || $(GO) test -C "$$package" -c -o "$$dir/fuzz" -fuzz "^$$target\$$" . || exit 1; \
		built=$$package; \
		(cd "$$package" && "$$dir/fuzz" -test.run '^$$' -test.fuzz "^$$target\$$" -test.fuzztime $(FUZZTIME) \
			-test.fuzzcachedir "$$($(GO) env GOCACHE)/fuzz/$$package" </dev/null) || exit 1; \
	done

cross: ## Build for every supported platform: dist/
	@for platform in $(PLATFORMS); do \
		export GOOS=$${platform%/*} GOARCH=$${platform#*/}; \
		file=dist/zenconn-$$GOOS-$$GOARCH; [ $$GOOS != windows ] || file=$$file.exe; \
		echo "$$file"; $(BUILD) -o "$$file" . || exit 1; \
	done

bench-smoke: build ## Run each scenario of the load generator against a server of its own for a moment
	.ci/bench-smoke ./zenconn

# Arguments of bench/compare for `make bench-all`, such as BENCHFLAGS="-runs 7 -case '^fanout'"; -h lists them.
BENCHFLAGS ?=

bench-all: build ## Measure the server beside the control and its goals, 10 minutes: the tables of docs/PERFORMANCE.md
	$(GO) run ./bench/compare -server ./zenconn $(BENCHFLAGS)

# Arguments of bench/soak for `make soak`, such as SOAKFLAGS="-case channels -workers 2"; -h lists them.
SOAKFLAGS ?=

soak: build ## Keep the server at half of what it can do for an hour, and print its memory and goroutines over the time
	$(GO) run ./bench/soak -server ./zenconn $(SOAKFLAGS)

generate: ## Make again what is generated from the code
	$(GO) generate ./...

# The plugins are those of go.mod. Generating with another protoc than $(PROTOC) only changes the version in the comments.
PROTOC := 3.21.12
proto: ## Make core/protocol's Go code from client.proto (needs protoc)
	@command -v protoc >/dev/null || { echo 'protoc $(PROTOC) is not installed (Debian: apt-get install protobuf-compiler)'; exit 1; }
	GOBIN=$(CURDIR)/dist/bin $(GO) install google.golang.org/protobuf/cmd/protoc-gen-go github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto
	cd core/protocol && PATH=$(CURDIR)/dist/bin:$$PATH protoc --go_out=. --go_opt=paths=source_relative \
		--go-vtproto_out=. --go-vtproto_opt=paths=source_relative,features=marshal+unmarshal+size client.proto

docker: ## Build the container image (needs Docker): zenconn:VERSION
	docker build --build-arg VERSION=$(VERSION) -t zenconn:$(VERSION) .

clean: ## Remove what was built
	rm -rf dist zenconn zenconn.exe
