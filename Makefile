# Strongroom. `make help` lists what can be made.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Versions of what is not in go.mod or package.json.
DYNOXIDE_VERSION := 1.2.1
GOLANGCI_VERSION := v2.12.0
GOFUMPT_VERSION  := v0.9.1
JAVASCRIPT_VERSION := 3.1164.0
CDK_NAG_VERSION    := 3.0.2
CDK_LIB_VERSION    := 2.270.0
CONSTRUCTS_VERSION := 10.6.0
CYCLONEDX_VERSION := v1.10.0
GOVULNCHECK_VERSION := v1.2.0

# The race detector needs a C compiler; without one the tests run all the same.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

CODE  := ./bench/... ./docs/... ./functions/... ./pkg/... ./supply/...
FUZZTIME := 30s
SOAK     := 2m
HISTORIES := 100000

# As functions are packaged, which their tests take from here. Every processor that
# Lambda has for arm64 knows lse. DynamoDB, KMS and Lambda answer HTTP/1.1, so HTTP/2
# is left out: it would be 4 % of the program. Nor is anything inlined in the SDK's clients,
# whose calls wait for a network.
LAMBDA := CGO_ENABLED=0 GOOS=linux GOARCH=arm64 GOARM64=v8.0,lse GOFIPS140=v1.0.0 \
	go build -trimpath -buildvcs=false -tags lambda.norpc,nethttpomithttp2 -ldflags "-s -w" \
	-gcflags=github.com/aws/aws-sdk-go-v2/service/...=-l

AGENT := CGO_ENABLED=0 GOFIPS140=v1.0.0 go build -trimpath -ldflags "-s -w"
AGENT_PLATFORMS := linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64

# The local server needs nothing of the machine that it runs on.
LOCAL := CGO_ENABLED=0 go build -o bin/local ./functions/local

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## start Strongroom on http://127.0.0.1:4566, with its data in .local/data
	@$(LOCAL)
	@exec bin/local --parent $$PPID $(ARGS)

.PHONY: prune
prune: ## remove once what need not be kept of the local data, while nothing else uses it
	@$(LOCAL)
	@exec bin/local --prune $(ARGS)

.PHONY: verify
verify: ## say what is wrong in the local data, while nothing else uses it; ARGS=--repair repairs it
	@$(LOCAL)
	@exec bin/local --verify $(ARGS)

.PHONY: audit
audit: ## show the last calls of the local server: who did what, and what came of it
	@$(LOCAL)
	@bin/local --show-audit 20 $(ARGS)

.PHONY: build
build: ## build the functions for Lambda into bin/
	$(LAMBDA) -o bin/api/bootstrap ./functions/api
	$(LAMBDA) -o bin/prune/bootstrap ./functions/prune
	$(LAMBDA) -o bin/rotate/bootstrap ./functions/rotate
	$(LAMBDA) -o bin/replicate/bootstrap ./functions/replicate
	$(LAMBDA) -o bin/agent-layer/arm64/extensions/strongroom-agent ./functions/agent
	$(subst GOARCH=arm64,GOARCH=amd64,$(LAMBDA)) -o bin/agent-layer/x86_64/extensions/strongroom-agent ./functions/agent

.PHONY: agent
agent: ## build the agent for this machine: bin/strongroom-agent
	$(AGENT) -o bin/strongroom-agent ./functions/agent

# Each is one static file that needs nothing of its machine.
.PHONY: agent-binaries
agent-binaries: ## build the agent for five platforms into bin/agent/
	@for platform in $(AGENT_PLATFORMS); do \
		case $$platform in windows-*) end=.exe ;; *) end= ;; esac; \
		echo "bin/agent/$$platform/strongroom-agent$$end"; \
		GOOS=$${platform%-*} GOARCH=$${platform#*-} $(AGENT) -o bin/agent/$$platform/strongroom-agent$$end ./functions/agent || exit 1; \
	done

.PHONY: test
test: ## test everything but infra, under the race detector
	@$(if $(RACE),,echo "No C compiler: testing without the race detector.")
	go test $(RACE) $(CODE)
	go test ./pkg/simulation -histories 2000

.PHONY: check
check: test lint cross compare nag rights-check ## test, vet, lint, compare with the reference, and test infra
	go vet ./...
	go vet -tags clients ./functions/agent ./infra
	go vet -tags planted ./pkg/simulation
	go mod tidy -diff
	go test ./infra/...

.PHONY: compare
compare: reference ## replay histories on pkg/local/dynamo and on the reference
	go vet -tags reference ./pkg/local/... ./pkg/store
	go test -tags reference -run 'Reference|Contract' -v ./pkg/local/dynamo ./pkg/store

# The local server and the agent for the machines that this one is not.
.PHONY: cross
cross:
	for os in linux darwin windows; do for arch in amd64 arm64; do \
		echo "$$os/$$arch"; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go vet ./functions/local ./pkg/local/... ./functions/agent ./pkg/agent && \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go build -o /dev/null ./functions/local && \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go build -o /dev/null ./functions/agent || exit 1; \
	done; done

# The linter's cache is of this folder alone: shared, it remembers files by where
# another clone had them.
.PHONY: lint
lint:
	GOLANGCI_LINT_CACHE=$(CURDIR)/.local/lint go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION) run ./...

.PHONY: bench
bench: ## measure; BENCHMARKS.md says what and how
	go test -run '^$$' -bench . -skip 'SideBySide|MissingOrDenied|HiddenNames' -benchmem ./pkg/...
	go test -run '^$$' -bench SideBySide -benchtime 1000x ./pkg/api

.PHONY: bench-timing
bench-timing: ## measure whether the time of a refusal tells that a secret exists; SECURITY.md has the figures
	go test -run '^$$' -bench 'MissingOrDenied|HiddenNames' -benchtime 2000x -timeout 0 ./pkg/api

.PHONY: bench-cold
bench-cold: ## measure how soon functions/api is ready, beside a handler that links only the SDK
	go test -run '^$$' -bench '^BenchmarkCold$$' -benchtime 200x ./functions/api

.PHONY: bench-server
bench-server: ## measure the whole server over HTTP, beside a bare one; ARGS=-scale for sizes
	@$(LOCAL)
	@go build -o bin/bench ./bench
	@exec bin/bench $(ARGS)

.PHONY: costs
costs: ## compute the tables of docs/cost.md: list prices, and what tests measure
	go run ./bench/cost docs/cost.md

.PHONY: abuse
abuse: ## send the local server 100,000 bad requests, a good client beside them; ARGS="-for 20s" ends earlier
	@$(LOCAL)
	@go build -o bin/bench ./bench
	@exec bin/bench -abuse 100000 $(ARGS)

.PHONY: load
load: ## have 64 clients use 100,000 secrets for minutes; ARGS="-largest 1000 -for 20s" does less
	@$(LOCAL)
	@go build -o bin/bench ./bench
	@exec bin/bench -load $(ARGS)

.PHONY: soak
soak: simulate planted linear ## after make simulate, planted and linear, put to one secret as fast as it goes for SOAK (2m), with pruning beside it
	go test -tags soak -run '^TestSoak$$' -v -timeout 0 ./pkg/prune -soak $(SOAK)

.PHONY: linear
linear: ## for SOAK (2m), kill and stop real servers under load, and check that all answers are in an order
	go test -run '^TestLinearizable$$' -v -timeout 0 ./functions/local -linear $(SOAK)

.PHONY: simulate
simulate: ## live HISTORIES (100,000) in virtual time, with everything going wrong; SEED=N begins at another
	go test ./pkg/simulation -run '^TestHistories$$' -v -timeout 0 -histories $(HISTORIES) -seed $(or $(SEED),1)

.PHONY: planted
planted: ## plant faults in the code, and see that the simulation notices each
	go test -tags planted -run '^TestPlantedFaults$$' -v -timeout 0 ./pkg/simulation

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (30s) each
	@grep -rE '^func Fuzz' functions pkg --include='*_test.go' | sed -E 's|^(.*)/[^/]*:func (Fuzz[A-Za-z0-9]+).*|\1 \2|' | while read -r package target; do \
		echo "$$target ($$package)"; \
		go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x ./$$package < /dev/null || exit 1; \
	done

# What makes an SBOM of a program: $(SBOM) -output FILE PROGRAM. Equal programs of one
# commit have equal ones.
SBOM := go run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION) bin -json -noserial -notimestamp -std \
	-version "$$(git describe --tags --always --dirty 2>/dev/null || echo unknown)"

.PHONY: supply
supply: licenses-check sbom reproducible vulnerabilities ## check licenses, write SBOMs, build twice and compare, look for vulnerabilities

.PHONY: licenses
licenses: ## write THIRD-PARTY-LICENSES.md, for the modules that the programs have in them
	go run ./supply

.PHONY: licenses-check
licenses-check:
	go run ./supply -check

.PHONY: sbom
sbom: build agent ## write an SBOM beside each program in bin/, as CycloneDX
	@for program in bin/api/bootstrap bin/prune/bootstrap bin/rotate/bootstrap bin/replicate/bootstrap bin/agent-layer/*/extensions/strongroom-agent bin/strongroom-agent; do \
		out=bin/sbom/$$(echo "$${program#bin/}" | tr / -).cdx.json; \
		mkdir -p bin/sbom; echo "$$out"; \
		$(SBOM) -output "$$out" "$$program" || exit 1; \
	done

.PHONY: reproducible
reproducible: ## build the programs twice, in two folders and without a cache, and compare them
	@supply/reproducible.sh

.PHONY: vulnerabilities
vulnerabilities: ## look for known vulnerabilities with govulncheck; VULNDB=file:///copy uses a copy of its database
	@GOBIN=$(CURDIR)/.local/tools go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	@supply/vulnerabilities.sh .local/tools/govulncheck

# The CDK's command, without what it says of the age of Node.js and of its own news.
CDK := JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=18,20,22,24 npx cdk --no-notices

.PHONY: bootstrap synth diff deploy
bootstrap: build node_modules ## prepare the account and the Region of your credentials for the CDK, once
	@$(CDK) bootstrap -c allowEveryone=true $(ARGS)

synth: build node_modules ## write the CloudFormation template to cdk.out; ARGS="-c policies=mine.json" sets something
	@$(CDK) synth --quiet $(ARGS)

diff: build node_modules ## show what a deployment would change
	@$(CDK) diff $(ARGS)

# Without a terminal there is nobody to ask.
deploy: build node_modules ## deploy to the AWS account of your credentials, and show what to paste next
	@approval=broadening; test -t 0 || approval=never; \
	$(CDK) deploy --require-approval $$approval --outputs-file cdk.out/outputs.json $(ARGS)
	@go run ./infra/paste cdk.out/outputs.json

PACKAGED := bin/api/bootstrap bin/prune/bootstrap bin/rotate/bootstrap bin/replicate/bootstrap bin/agent-layer/*/extensions/strongroom-agent bin/agent/*/strongroom-agent*

# Synthesized into a folder of its own, since cdk.out keeps what other settings left there.
.PHONY: package
package: build agent-binaries node_modules ## write what is deployed without the CDK into bin/package; ARGS as for make synth
	@rm -rf .local/package && mkdir -p .local/package/sbom
	@$(CDK) synth --quiet --output .local/package/stack $(ARGS)
	@for program in $(PACKAGED); do \
		$(SBOM) -output ".local/package/sbom/$$(echo "$${program#bin/}" | tr / -).cdx.json" "$$program" || exit 1; \
	done
	@go run ./infra/pack -from .local/package/stack -sbom .local/package/sbom -agents bin/agent LICENSE THIRD-PARTY-LICENSES.md
	@cat bin/package/SHA256SUMS

.PHONY: reproducible-package
reproducible-package: node_modules ## make the package twice, in two folders, and compare; ARGS as for make synth
	@CACHED=yes ARGS="$(or $(ARGS),-c allowEveryone=true)" supply/reproducible.sh package

# What each function calls over its tests, of DynamoDB and KMS: its role allows that and no
# more, which a test of infra compares.
.PHONY: rights rights-check
rights: ## record which rights the functions use over their tests, in infra/testdata/rights.txt
	@rm -f .local/rights; mkdir -p .local
	STRONGROOM_RIGHTS=$(CURDIR)/.local/rights go test -count=1 ./pkg/api ./pkg/prune ./pkg/rotate ./pkg/replicate ./pkg/verify
	@LC_ALL=C sort -u .local/rights > infra/testdata/rights.txt

rights-check: rights
	@git diff --exit-code infra/testdata/rights.txt || { echo "The functions call something else than before: compare their roles."; exit 1; }

# cdk-nag holds the template in review, with all that it can have, to rules of AWS's
# solutions and of serverless ones.
NAG := .local/nag/node_modules/cdk-nag

.PHONY: nag
nag: $(NAG) ## hold the template to cdk-nag, and to cfn-lint where that is installed
	@NODE_PATH=.local/nag/node_modules JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=18,20,22,24 \
		node infra/nag/nag.js infra/testdata/whole.json infra/nag/acknowledged.json
	@if command -v cfn-lint >/dev/null; then \
		cfn-lint --ignore-checks W3005 --template infra/testdata/whole.json && echo "cfn-lint: no findings"; \
	else echo "cfn-lint is not installed (pip install cfn-lint): the template is not held to it."; fi

$(NAG):
	@command -v npm >/dev/null || { echo "npm is not there. make nag needs Node.js 20 or newer."; exit 1; }
	npm install --no-save --no-audit --no-fund --loglevel=error --prefix .local/nag \
		cdk-nag@$(CDK_NAG_VERSION) aws-cdk-lib@$(CDK_LIB_VERSION) constructs@$(CONSTRUCTS_VERSION)

# ENDPOINT is the output of that name. More is proven with what a deployment has: a rotation
# function and the log group of functions/api, by ARGS="--rotation-function … --log-group …".
.PHONY: smoke
smoke: ## prove a deployment with your credentials: make smoke ENDPOINT=https://
	@go build -o bin/smoke ./bench/smoke
	@exec bin/smoke $(ARGS) "$(ENDPOINT)"

.PHONY: fmt
fmt: ## format the code
	go run mvdan.cc/gofumpt@$(GOFUMPT_VERSION) -w bench functions infra pkg supply

# Another implementation of DynamoDB, to which pkg/local/dynamo is held. npm names
# machines as Node.js does.
REFERENCE := .local/reference/node_modules/@dynoxide

.PHONY: reference
reference: $(REFERENCE) ## fetch what pkg/local/dynamo is compared with

$(REFERENCE):
	@command -v npm >/dev/null || { echo "npm is not there. make check needs Node.js 20 or newer, for the CDK and the reference."; exit 1; }
	npm install --no-save --no-audit --no-fund --loglevel=error --prefix .local/reference \
		@dynoxide/$$(node -p 'process.platform + "-" + process.arch')@$(DYNOXIDE_VERSION)

# The AWS SDK for JavaScript, to try the agent with.
JAVASCRIPT := .local/clients/node_modules/@aws-sdk/client-secrets-manager

.PHONY: clients
clients: $(JAVASCRIPT) ## try the agent, and the layer, with the AWS CLI, boto3 and the SDK for JavaScript, which must be there
	NODE_PATH=$(CURDIR)/.local/clients/node_modules go test -tags clients -run 'TestOtherClients|TestJavaScript' -v ./functions/agent
	go test -tags clients -run 'TestBotoSigns' -v ./infra

$(JAVASCRIPT):
	@command -v npm >/dev/null || { echo "npm is not there. make clients needs Node.js 20 or newer, for the SDK for JavaScript."; exit 1; }
	npm install --no-save --no-audit --no-fund --loglevel=error --prefix .local/clients @aws-sdk/client-secrets-manager@$(JAVASCRIPT_VERSION)

# What the AWS CLI v1 and boto3 read of Secrets Manager beside their own model: that of
# the layer, or for a function URL the same with another name. The copy beside it says
# that it is ours, as long as both are the same.
MODEL_SOURCE := infra/signing/strongroom/models/secretsmanager/2017-10-17/service-2.sdk-extras.json
MODEL := $(HOME)/.aws/models/secretsmanager/2017-10-17/service-2.sdk-extras.json
SIGNING_NAME := execute-api

.PHONY: install-models
install-models: ## have the AWS CLI v1 and boto3 of this user sign for API Gateway; SIGNING_NAME=lambda for a function URL
	@case "$(SIGNING_NAME)" in execute-api|lambda) ;; *) echo "SIGNING_NAME must be execute-api or lambda."; exit 1;; esac
	@if [ -e "$(MODEL)" ] && ! cmp -s "$(MODEL)" "$(MODEL).strongroom"; then \
		echo "$(MODEL) is there and not from here, so it stays as it is."; \
		echo "Merge $(MODEL_SOURCE) into it by hand, or put that file's tree into a folder of its own and name the folder in AWS_DATA_PATH."; exit 1; fi
	@if [ -L "$(MODEL)" ]; then echo "$(MODEL) is a symbolic link, so it stays as it is."; exit 1; fi
	@mkdir -p "$$(dirname "$(MODEL)")"
	@sed 's/"signingName": "execute-api"/"signingName": "$(SIGNING_NAME)"/' $(MODEL_SOURCE) > "$(MODEL).strongroom"
	@cp "$(MODEL).strongroom" "$(MODEL)"
	@echo "Wrote $(MODEL)."
	@echo "The AWS CLI v1 and boto3 of this user now sign all calls of Secrets Manager for $(SIGNING_NAME)."
	@echo "So they reach Strongroom, and not AWS Secrets Manager itself any more. make uninstall-models takes it back."

.PHONY: uninstall-models
uninstall-models: ## take back what install-models did
	@if [ ! -e "$(MODEL).strongroom" ]; then echo "$(MODEL) is not from here; nothing was done."; exit 1; fi
	@if [ -e "$(MODEL)" ] && ! cmp -s "$(MODEL)" "$(MODEL).strongroom"; then \
		echo "$(MODEL) was changed since it was written, so it stays. Remove it, and $(MODEL).strongroom, by hand."; exit 1; fi
	@rm -f "$(MODEL)" "$(MODEL).strongroom"
	@echo "Removed $(MODEL)."

node_modules: package-lock.json
	npm ci --no-audit --no-fund
	@touch $@
