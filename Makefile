# kubecrank's build. Nothing but Go, make and git is needed; `make help` lists the targets.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-builtin-rules
.DEFAULT_GOAL := help

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# RACE=-race runs the unit tests with the race detector (CI does; it needs a C compiler).
RACE    ?=
# RUN_ROOT is where `make run` puts its control plane, RUN_FLAGS what else it passes to init (--port-offset 100, say).
RUN_ROOT  ?= $(CURDIR)/.run
RUN_FLAGS ?=

# FAULTS is a regular expression: which of the fault tests make faults runs.
FAULTS ?= Killed|Cancelled|PowerLoss|Fault

# The components: the version and the build date that upstream stamps. The date is the module's in the Go proxy.
# kube_ldflags is called with both.
KUBE_VERSION := v1.36.3
KUBE_DATE    := 2026-07-22T18:07:38Z
kube_x        = gitVersion=$(1) gitMajor=1 gitMinor=$(word 2,$(subst ., ,$(1))) gitCommit= gitTreeState=archive buildDate=$(2)
kube_ldflags  = -s -w -buildid= $(foreach pkg,k8s.io/component-base/version k8s.io/client-go/pkg/version,$(patsubst %,-X $(pkg).%,$(kube_x)))
KUBE_LDFLAGS := $(call kube_ldflags,$(KUBE_VERSION),$(KUBE_DATE))
# notest and grpcnotrace leave out what only tests and golang.org/x/net/trace need; selinux is upstream's own tag.
KUBE_TAGS    := selinux,notest,grpcnotrace

LDFLAGS := -s -w -X github.com/kubecrank/kubecrank/cmd/cli.version=$(VERSION)
# GOFLAGS of the environment stay; the version comes from git describe, so that the go command need not ask git.
# grpcnotrace leaves out golang.org/x/net/trace, and html/template with it.
BUILD   := CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -tags grpcnotrace
PAYLOAD := runtime/payload/payload.bin
# The aim of docs/explanation/figures.md.
MAX_SIZE := 75000000

LINT_VERSION := $(shell sed -n 's,^\tgithub.com/golangci/golangci-lint/v2 \(v[^ ]*\).*,\1,p' tools/go.mod)
LINT := .tools/golangci-lint-$(LINT_VERSION)

##@ Use

.PHONY: run
run: build ## bring up a control plane below RUN_ROOT (.run), and say what to type next
	bin/kubecrank init --root $(RUN_ROOT) --apiserver-advertise-address 127.0.0.1 $(RUN_FLAGS)
	@printf '\nHere, kubecrank is %s.\n' bin/kubecrank

##@ Build

.PHONY: build
build: $(PAYLOAD) ## bin/kubecrank, with the components inside
	$(BUILD),payload -ldflags "$(LDFLAGS)" -o bin/kubecrank ./cmd/kubecrank

.PHONY: lean
lean: ## bin/kubecrank-lean, which takes the components from --components-dir or PATH
	$(BUILD) -ldflags "$(LDFLAGS)" -o bin/kubecrank-lean ./cmd/kubecrank

.PHONY: components
components: bin/components ## bin/components, the upstream programs in one file (6-9 minutes the first time)

# The stamp's time changes only when the compiler or its flags do.
bin/.components-flags: FORCE
	@mkdir -p bin; new="$$($(GO) env GOVERSION GOARCH | tr '\n' ' ')$(KUBE_TAGS) $(KUBE_LDFLAGS)"; \
	[ "$$(cat $@ 2>/dev/null)" = "$$new" ] || echo "$$new" > $@

# nice, and a rename at the end: the old file may be running.
bin/components: bin/.components-flags $(wildcard cmd/components/*.go) cmd/components/go.mod cmd/components/go.sum
	cd cmd/components && CGO_ENABLED=0 nice $(GO) build -trimpath -buildvcs=false -tags $(KUBE_TAGS) \
	  -ldflags "$(KUBE_LDFLAGS)" -o ../../$@.tmp .
	mv $@.tmp $@

# What these components create in a new cluster; the packages are those that bin/components is built from.
bin/policy.json: bin/components cmd/components/policy/main.go
	cd cmd/components && CGO_ENABLED=0 nice $(GO) run -trimpath -buildvcs=false -tags $(KUBE_TAGS) ./policy > ../../$@.tmp
	mv $@.tmp $@

# The components of the two minors before, from go.mod files of their own beside go.mod.
OLD_COMPONENTS := bin/components-v1.34 bin/components-v1.35

bin/components-v1.34: KUBE_DATE := 2026-02-10T19:32:20Z
bin/components-v1.35: KUBE_DATE := 2026-04-15T18:01:22Z
bin/components-v1.%: KUBE_VERSION = $(shell sed -n 's,^\tk8s.io/kubernetes \(v[^ ]*\)$$,\1,p' cmd/components/go.v1.$*.mod)
$(OLD_COMPONENTS): bin/components-v1.%: cmd/components/main.go cmd/components/go.v1.%.mod cmd/components/go.v1.%.sum
	@mkdir -p bin
	cd cmd/components && CGO_ENABLED=0 nice $(GO) build -modfile=go.v1.$*.mod -trimpath -buildvcs=false -tags $(KUBE_TAGS) \
	  -ldflags "$(call kube_ldflags,$(KUBE_VERSION),$(KUBE_DATE))" -o ../../$@.tmp .
	mv $@.tmp $@

.PHONY: components-versions
components-versions: $(OLD_COMPONENTS) ## the programs of Kubernetes 1.34 and 1.35 as well (as long as components, for each)

# pack looks at the content itself and leaves an up-to-date payload alone; touch tells make that it has looked.
$(PAYLOAD): bin/components bin/policy.json $(filter-out %_test.go,$(wildcard cmd/pack/*.go runtime/payload/*.go runtime/flagcheck/*.go))
	nice $(GO) run ./cmd/pack -version $(KUBE_VERSION) -policy bin/policy.json -o $@ bin/components
	@touch $@

.PHONY: dist
dist: build ## dist/: the one file to hand out, its checksum, and a check of its size
	@rm -rf dist && mkdir -p dist
	@name=kubecrank-$(VERSION)-$$($(GO) env GOOS)-$$($(GO) env GOARCH); \
	cp bin/kubecrank dist/$$name; \
	(cd dist && sha256sum $$name > SHA256SUMS && cat SHA256SUMS); \
	size=$$(stat -c %s dist/$$name); \
	echo "$$size bytes, $$(($(MAX_SIZE) - size)) below the limit of $(MAX_SIZE)"; \
	[ $$size -lt $(MAX_SIZE) ] || { echo "dist: the file is too large" >&2; exit 1; }; \
	if readelf -lW dist/$$name 2>/dev/null | grep -q INTERP; then echo "dist: the file is not static" >&2; exit 1; fi

##@ Check

.PHONY: test
test: check unit lint oracle-short e2e ## everything CI checks: format, unit tests, lint, kubeadm, e2e

.PHONY: check
check: ## gofmt of every Go file (go vet is a part of lint)
	@bad=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	[ -z "$$bad" ] || { echo "gofmt wants to change: $$bad" >&2; exit 1; }

.PHONY: unit
unit: ## unit tests, script tests of the command line, and whether its reference is up to date (RACE=-race)
	$(GO) test $(RACE) ./...

# The real kubeadm of three minors (test/oracle), with which test/kubeadm compares. Without its minor
# kubeadm does not know which versions it is too new for.
KUBEADMS := bin/kubeadm-v1.34 bin/kubeadm-v1.35 bin/kubeadm-v1.36

bin/kubeadm-v1.36: MODFILE := go.mod
bin/kubeadm-v1.%: MODFILE = go.v1.$*.mod
$(KUBEADMS): bin/kubeadm-v1.%: test/oracle/kubeadm.go $(wildcard test/oracle/*.mod)
	cd test/oracle && version=$$(sed -n 's,.*k8s.io/kubernetes \(v[^ ]*\).*,\1,p' $(MODFILE)) && \
	CGO_ENABLED=0 nice $(GO) build -modfile=$(MODFILE) -trimpath -buildvcs=false -o ../../$@ \
	  -ldflags "-s -w $$(for part in gitVersion=$$version gitMajor=1 gitMinor=$$(echo $$version | cut -d. -f2); do \
    printf ' -X k8s.io/component-base/version.%s' $$part; done)" .

.PHONY: oracle
oracle: $(KUBEADMS) ## compare with the real kubeadm of three minors, all of it (ORACLE_FLAGS=-update)
	$(GO) test -tags oracle -count=1 -timeout 30m ./test/kubeadm $(ORACLE_FLAGS)

# The other two take up to 12 minutes more to build; 1.36 shares its packages with the components.
.PHONY: oracle-short
oracle-short: bin/kubeadm-v1.36 ## compare with the kubeadm of 1.36 only, without RSA keys
	$(GO) test -tags oracle -count=1 -timeout 20m -short ./test/kubeadm -kubeadm ../../bin/kubeadm-v1.36 $(ORACLE_FLAGS)

.PHONY: e2e
e2e: build ## bin/kubecrank with the real components, and every command of README and docs (E2E_FLAGS='-run Reset')
	$(GO) test -tags e2e -count=1 -p 1 -parallel 6 -timeout 30m ./test/e2e ./test/docs $(E2E_FLAGS)

.PHONY: faults
faults: build ## the fault tests of phases and test/e2e in their long form, and the fault table (45 minutes; FAULTS=Killed)
	KUBECRANK_FAULTS=all $(GO) test -count=1 -timeout 30m -run '$(FAULTS)' ./phases
	$(GO) test -tags e2e -count=1 -timeout 120m -v -run '$(FAULTS)' ./test/e2e -faults

# Not a part of test: the two other sets of components take too long to build.
.PHONY: versions
versions: build components-versions ## bring up Kubernetes 1.34, 1.35 and 1.36, each with its own components
	$(GO) test -tags e2e -count=1 -timeout 15m -v -run TestVersions ./test/e2e -versions $(E2E_FLAGS)

.PHONY: bench
bench: build ## start-up against the floor, dry-run, reset, idle cost, latencies, many pods (BENCH_FLAGS='-pairs 10')
	$(GO) run ./test/bench -kubecrank bin/kubecrank -components bin/components $(BENCH_FLAGS)

# All fuzz targets of the repository, one after the other. What fails is kept in testdata/fuzz of its package: commit it.
FUZZ     ?= .
FUZZTIME ?= 1m
.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (1m) each (FUZZ='FuzzParse|FuzzApplyPatches' for some)
	@git grep --untracked -oE '^func Fuzz[A-Za-z0-9_]*' -- '*_test.go' | sed 's,/[^/]*:func , ,' | grep -E ' ($(FUZZ))' | \
	while read -r package target; do \
	  echo "$$target of $$package"; \
	  $(GO) test "./$$package" -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x | grep -vE '^fuzz: elapsed|^PASS$$' || exit 1; \
	done

.PHONY: lint
lint: $(LINT) ## golangci-lint, pinned in tools/go.mod
	$(LINT) run --allow-parallel-runners ./...

# golangci-lint is built from source once per version: that takes two to four minutes and needs no download but Go modules.
$(LINT): tools/go.mod tools/go.sum
	@mkdir -p .tools
	cd tools && CGO_ENABLED=0 nice $(GO) build -trimpath -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: docs
docs: ## docs/reference/cli, generated from the command line itself
	$(GO) run ./cmd/gendocs docs/reference/cli

##@ Other

.PHONY: clean
clean: ## remove what the build made (not the Go caches, not .run)
	rm -rf bin dist .tools $(PAYLOAD) $(PAYLOAD).tmp

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: FORCE
FORCE:
