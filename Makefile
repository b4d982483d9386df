# The front door: `make demo` to see it work, `make test` to test everything, `make help` for the rest.
# Node 24 comes through the lock file on Linux (x64, arm64); elsewhere the Node of the machine is used.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
SHELL := /bin/sh
.DEFAULT_GOAL := help
INSTALLED := node_modules/.package-lock.json
SOURCES := $(shell find src simple-cfssl -name '*.ts' 2>/dev/null) package.json $(addprefix tools/,bundle.ts notices.ts sbom.ts)
# One half of the tests, by time. Both mostly wait, for leases and back-off, so they run side by side; building images
# takes all of a machine, so that comes last.
HALF := at-most-once|chart-*|demo|e2e|kustomize|migration
TEST = node --test --test-isolation=none --test-timeout=600000 $(ARGS)
ONCE ?=
ARGS ?=

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  %-26s %s\n", $$1, $$2 }'

$(INSTALLED): package.json package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or newer (https://nodejs.org)" >&2; exit 1; }
	@echo "Installing the packages of package-lock.json" >&2
	@npm ci --loglevel=error
	@node tools/check-node.ts
	@touch $@

.PHONY: demo
demo: dist/main.mjs ## Turn a Certificate into a signed Secret, on real servers, on this machine (ONCE=1: check and exit)
	@node tools/demo.ts $(if $(ONCE),--once)

.PHONY: test
test: check dist/main.mjs ## Test everything, on the real servers
	@node tools/servers/build.ts
	@$(TEST) 'test/@($(HALF)).test.ts' >dist/half-of-the-tests.log 2>&1 & half=$$!; \
	trap "kill $$half" INT TERM; \
	$(TEST) 'test/!($(HALF)|images).test.ts'; first=$$?; \
	wait $$half; second=$$?; cat dist/half-of-the-tests.log; \
	$(TEST) test/images.test.ts; exit $$((first | second | $$?))

.PHONY: soak
soak: $(INSTALLED) ## Faults at random between the runtime and a real API server (MINUTES=10)
	@node --expose-gc test/soak.ts $(or $(MINUTES),10)

.PHONY: check
check: format-check lint types generated unit ## Format, lint, types, imports, generated files, unit tests: before every push

.PHONY: format-check
format-check: $(INSTALLED)
	@biome check --error-on-warnings .

.PHONY: format
format: $(INSTALLED) ## Format the sources
	@biome check --write .

.PHONY: lint
lint: $(INSTALLED) ## Lint, type-aware, and the walls between the rooms
	@oxlint --type-aware --deny-warnings
	@node tools/check-imports.ts

.PHONY: types
types: $(INSTALLED) ## Check the types
	@tsc

.PHONY: generated
generated: $(INSTALLED)
	@node tools/generate.ts --check

.PHONY: generate
generate: $(INSTALLED) ## Write the generated files: CRDs, docs/reference
	@node tools/generate.ts

.PHONY: unit
unit: $(INSTALLED) ## Unit tests
	@node --test --test-isolation=none --test-timeout=120000 --test-reporter=$(if $(CI),spec,dot) $(ARGS) '{src,simple-cfssl,tools}/**/*.test.ts'

.PHONY: build
build: dist/main.mjs ## Bundle the programs: dist/main.mjs and dist/simple-cfssl.mjs

dist/main.mjs: $(INSTALLED) $(SOURCES)
	@node tools/bundle.ts

.PHONY: docker-build
docker-build: $(INSTALLED) ## Build the issuer's image with docker, podman or buildah (IMG, PLATFORMS, ...: docs/images.md)
	@node tools/image.ts issuer

.PHONY: docker-build-simple-cfssl
docker-build-simple-cfssl: $(INSTALLED) ## Build the throw-away CA's image
	@node tools/image.ts simple-cfssl

.PHONY: test-images
test-images: dist/main.mjs ## Test the images; needs buildah and root, and fails without
	@node tools/servers/build.ts
	@IMAGES=required node --test --test-isolation=none --test-timeout=600000 $(ARGS) test/images.test.ts

.PHONY: run
run: $(INSTALLED) ## Run the issuer from the checkout against the current kubeconfig (ARGS="--flag ...")
	@node src/main.ts $(ARGS)

.PHONY: simple-cfssl
simple-cfssl: $(INSTALLED) ## Run a throw-away CFSSL and print what an Issuer needs (ARGS="-a 127.0.0.1:8888")
	@node simple-cfssl/main.ts $(ARGS)

# The current cluster is that of kubectl: KUBECONFIG, else ~/.kube/config. IMG is the issuer's image, SIMPLE_CFSSL_IMG that
# of the throw-away CA; by default what `make docker-build` and `make docker-build-simple-cfssl` make.
ignore-not-found ?= false

.PHONY: install
install: $(INSTALLED) ## Install the CRDs into the current cluster
	@node tools/deploy.ts install

.PHONY: uninstall
uninstall: $(INSTALLED) ## Remove the CRDs, and with them all Issuers and ClusterIssuers
	@node tools/deploy.ts uninstall --ignore-not-found=$(ignore-not-found)

.PHONY: deploy
deploy: $(INSTALLED) ## Deploy config/default to the current cluster (IMG=registry/cfssl-issuer:tag)
	@node tools/deploy.ts deploy

.PHONY: undeploy
undeploy: $(INSTALLED) ## Remove what deploy made, and with it all Issuers and ClusterIssuers
	@node tools/deploy.ts undeploy --ignore-not-found=$(ignore-not-found)

.PHONY: deploy-simple-cfssl
deploy-simple-cfssl: $(INSTALLED) ## Deploy a throw-away CFSSL, fit for config/samples (SIMPLE_CFSSL_IMG=...)
	@node tools/deploy.ts simple-cfssl

.PHONY: e2e
e2e: dist/main.mjs ## The samples end to end: on kind, with our images, where it can run, else as make demo does
	@node tools/e2e.ts

.PHONY: e2e-all
e2e-all: dist/main.mjs ## The same with images built first, and the tests that are end to end
	@node tools/e2e.ts --images
	@node --test --test-isolation=none --test-timeout=600000 $(ARGS) test/end-to-end.test.ts test/kubernetes-csr.test.ts test/kustomize.test.ts test/migration.test.ts test/e2e.test.ts

.PHONY: bench
bench: $(INSTALLED) ## Measure the CSR reader and the runtime, as ratios in one run (4 minutes)
	@node bench/csr.ts
	@node bench/kubernetes-runtime.ts

.PHONY: servers
servers: $(INSTALLED) ## Build the real servers for demo and tests into the cache
	@node tools/servers/build.ts

.PHONY: clean
clean: ## Remove what was built in the checkout
	@rm -rf dist node_modules
