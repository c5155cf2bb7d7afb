# Pace: targets for people and for continuous integration.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
GO ?= go
SUITE ?= main

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

.PHONY: build
build: ## the binaries, into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/...

.PHONY: image
image: ## the controller's image for every platform, into dist/
	$(GO) run ./release/cmd/release -image $(if $(VERSION),-version $(VERSION))

.PHONY: dist
dist: ## all that is published, into dist/: image, plugin archives, krew manifest, manifests
	$(GO) run ./release/cmd/release $(if $(VERSION),-version $(VERSION))

.PHONY: check
check: ## vet, lint and unit tests
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'not gofmted:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test -timeout 30m ./...

.PHONY: test
test: ## check, a real browser, a real cluster, and suites main, feedback, nodes and argo on it; what cannot run fails
	$(MAKE) check
	CI=true $(GO) test -count=1 -timeout 10m ./test/browser/...
	CI=true PACE_CLUSTER=1 $(GO) test -count=1 -timeout 25m ./test/cluster/...
	$(MAKE) e2e SUITE=main
	$(MAKE) e2e SUITE=feedback
	$(MAKE) e2e SUITE=nodes
	$(MAKE) e2e SUITE=argo

.PHONY: demo
demo: ## the main job on a real local cluster
	$(GO) run ./test/demo

.PHONY: e2e
e2e: ## one suite on the real cluster: make e2e SUITE=main
	$(GO) run ./test/e2e/cmd/e2e -suite $(SUITE)

.PHONY: bench
bench: ## benchmarks of the decision code and the simulator, then what Pace costs real clusters, one of 5,000 nodes
	$(GO) test -run '^$$' -bench . -benchmem ./pacer/... ./simulate/...
	$(GO) run ./test/bench
	$(GO) run ./test/bench/scale

.PHONY: chaos
chaos: ## a randomised fault campaign on the real cluster; SEED repeats one
	$(GO) run ./test/chaos $(if $(SEED),-seed $(SEED))

.PHONY: vuln
vuln: ## known flaws in what is built; VULNDB=file://... for a copy of the database
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 $(if $(VULNDB),-db $(VULNDB)) ./cmd/...

.PHONY: generate
generate: ## CRDs, deep copies and reference pages
	$(GO) generate ./...
