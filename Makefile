# Strongroom. `make help` lists what can be made.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Versions of what is not in go.mod or package.json.
ENGINE_VERSION   := 1.2.1
GOLANGCI_VERSION := v2.12.0
GOFUMPT_VERSION  := v0.9.1

# The DynamoDB engine for this machine, as npm names machines.
PLATFORM := $(shell node -p 'process.platform + "-" + process.arch' 2>/dev/null)
ENGINE   := .local/engine/node_modules/@dynoxide/$(PLATFORM)/package.json

# The race detector needs a C compiler; without one the tests run all the same.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

CODE  := ./functions/... ./pkg/...
FUZZTIME := 30s
SOAK     := 2m

LAMBDA := CGO_ENABLED=0 GOOS=linux GOARCH=arm64 GOFIPS140=v1.0.0 \
	go build -trimpath -buildvcs=false -tags lambda.norpc -ldflags "-s -w"

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: engine ## start Strongroom on http://127.0.0.1:4566, with its data in .local/data
	@go build -o bin/local ./functions/local
	@exec bin/local $(ARGS)

.PHONY: prune
prune: engine ## remove once what need not be kept of the local data, while nothing else uses it
	@go build -o bin/local ./functions/local
	@exec bin/local --prune $(ARGS)

# Who may do what, apart from the policies on secrets: deployed with functions/api,
# which may read only what everybody may.
POLICIES := policies.json

.PHONY: audit
audit: engine ## show the last calls of the local server: who did what, and what came of it
	@go build -o bin/local ./functions/local
	@bin/local --show-audit 20 $(ARGS)

.PHONY: build
build: ## build the functions for Lambda into bin/
	$(LAMBDA) -o bin/api/bootstrap ./functions/api
	$(LAMBDA) -o bin/prune/bootstrap ./functions/prune
	$(LAMBDA) -o bin/rotate/bootstrap ./functions/rotate
	install -m 644 $(POLICIES) bin/api/policies.json

.PHONY: test
test: engine ## test everything but infra, under the race detector
	@$(if $(RACE),,echo "No C compiler: testing without the race detector.")
	go test $(RACE) $(CODE)

.PHONY: check
check: test lint ## test, vet, lint, and test infra
	go vet ./...
	GOOS=darwin go vet ./functions/local ./pkg/local
	GOOS=windows go vet ./functions/local ./pkg/local
	go mod tidy -diff
	go test ./infra/...

# The linter's cache is of this folder alone: shared, it remembers files by where
# another clone had them.
.PHONY: lint
lint:
	GOLANGCI_LINT_CACHE=$(CURDIR)/.local/lint go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION) run ./...

.PHONY: bench
bench: engine ## measure; BENCHMARKS.md says what and how
	go test -run '^$$' -bench . -skip SideBySide -benchmem ./pkg/...
	go test -run '^$$' -bench SideBySide -benchtime 1000x ./pkg/api

.PHONY: soak
soak: engine ## put to one secret as fast as it goes for SOAK (2m), with pruning beside it
	go test -tags soak -run '^TestSoak$$' -v -timeout 0 ./pkg/prune -soak $(SOAK)

.PHONY: fuzz
fuzz: engine ## run every fuzz target for FUZZTIME (30s) each
	@for target in $$(grep -rlE '^func Fuzz' pkg --include='*_test.go' | xargs grep -hoE '^func Fuzz\w+' /dev/null | awk '{print $$2}'); do \
		package=$$(dirname $$(grep -rlE "^func $$target\(" pkg --include='*_test.go')); \
		echo "$$target ($$package)"; \
		go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x ./$$package || exit 1; \
	done

.PHONY: synth diff deploy
synth: build node_modules ## write the CloudFormation template to cdk.out
	npx cdk synth --quiet

diff: build node_modules ## show what a deployment would change
	npx cdk diff

deploy: build node_modules ## deploy to the AWS account of your credentials
	npx cdk deploy

.PHONY: fmt
fmt: ## format the code
	go run mvdan.cc/gofumpt@$(GOFUMPT_VERSION) -w functions infra pkg

.PHONY: engine
engine: $(ENGINE)

# The engine is brought by itself and not by package.json: npm refuses a lock file
# that names packages for other machines where a registry lacks them.
$(ENGINE):
	@command -v npm >/dev/null || { echo "npm is not there. Strongroom needs Node.js 20 or newer to fetch its local DynamoDB engine."; exit 1; }
	npm install --no-save --no-audit --no-fund --loglevel=error --prefix .local/engine @dynoxide/$(PLATFORM)@$(ENGINE_VERSION)
	@touch $@

node_modules: package-lock.json
	npm ci --no-audit --no-fund
	@touch $@
