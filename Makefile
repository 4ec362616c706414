# Everything a developer or CI runs. Each target sets up what it needs, once: the second run is
# fast and needs no network. Stamps stand for what is installed; delete one to redo its step.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:

# The first Python of 3.11 or newer that is found; `make PYTHON=...` chooses another.
PYTHON ?= $(firstword $(foreach p,python3.13 python3.12 python3.11 python3,$(shell \
	$(p) -c 'import sys; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)))
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq install --require-hashes
SAY = @printf '\033[1m==>\033[0m %s\n'

# -- targets -------------------------------------------------------------------------------------

.PHONY: help
help: ## List the targets
	@echo 'Like-Opt. Needs Linux (macOS is not tested), Python 3.11+, Node.js 20+.'
	@sed -nE 's/^([a-z-]+):.*## (.*)$$/  make \1\t\2/p' Makefile | expand -t 18

.PHONY: run
run: .venv/.package likeopt/web/static/manifest.json ## Start Like-Opt and print its address
	@exec $(BIN)/likeopt serve

.PHONY: local
local: .venv/.package ## Also install what runs a language model on this machine
	$(SAY) 'Installing llama.cpp (100 MB); then: .venv/bin/likeopt model get local'
	@$(PIP) -r requirements-local.lock

.PHONY: check
check: .venv/.dev .venv/.package frontend/node_modules/.installed ## Lint, types, import rules, docs, security
	$(SAY) 'Python: format, lint, types, import rules, generated docs'
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python scripts/generate_docs.py --check
	$(SAY) 'Security: code, secrets in files, known vulnerabilities of packages'
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive likeopt scripts hatch_build.py
	@git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook $(NOT_SECRETS)
	@$(BIN)/python scripts/audit_packages.py
	$(SAY) 'Page: types and lint'
	@cd frontend && npm run --silent check

# Hashes of packages are random too, and every label of a password field is a "secret keyword"; the
# values are those of examples and tests. Others say `pragma: allowlist secret` on their line.
NOT_SECRETS = --exclude-files '(\.lock|package-lock\.json)$$' --disable-plugin KeywordDetector \
	--exclude-secrets '^(password|hidden|pw|0123456789abcdef0123456789abcdef)$$'

# Set-up waits for the network and the disk, tests for each other's servers, so two cores take more
# than two at once.
.PHONY: test
test: ## Everything CI runs
	@$(MAKE) -j4 set-up
	@$(MAKE) -j2 check test-page
	$(SAY) 'Python: tests, with real PostgreSQL, Redis, Chroma and Chromium'
	@$(BIN)/pytest -n 3 --dist loadfile $(PYTEST)

.PHONY: set-up
set-up: .make/servers .venv-chroma/.installed .venv/.dev .venv/.package likeopt/web/static/manifest.json

.PHONY: test-page
test-page: frontend/node_modules/.installed
	$(SAY) 'Page: tests'
	@cd frontend && npm test --silent

.PHONY: bench
bench: .venv/.dev .venv/.package .venv-chroma/.installed .venv-bench/.installed ## Measure; results go to bench/README.md
	@$(BIN)/python -m bench

.PHONY: bench-web
bench-web: .venv/.dev .venv/.package .make/servers .make/bench-web likeopt/web/static/manifest.json bench/web/node_modules/.installed ## Measure the page: Lighthouse, INP, navigation
	@$(BIN)/python -m bench.web $(PARTS)

.PHONY: docs
docs: .venv/.package ## Generate the settings, commands and endpoints in docs/, and .env.example
	@$(BIN)/python scripts/generate_docs.py

UV = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(UPGRADE)

.PHONY: lock
lock: .venv/.dev ## Rewrite the lock files (UPGRADE=--upgrade takes the newest versions)
	$(SAY) 'Locking Python packages'
	@$(UV) pyproject.toml --extra postgres --extra redis --extra memcached --extra oidc --group build -o requirements.lock
	@$(UV) pyproject.toml --extra local -c requirements.lock -o requirements-local.lock
	@$(UV) pyproject.toml --all-extras --group dev -c requirements.lock -o requirements-dev.lock
	@echo 'chromadb==1.5.9' | $(UV) - -o requirements-chroma.lock
	@$(UV) --group bench -c requirements.lock -o requirements-bench.lock
	$(SAY) 'Locking npm packages'
	@cd frontend && npm install --package-lock-only --silent
	@cd bench/web && npm install --package-lock-only --silent

.PHONY: clean
clean: ## Remove everything that make made, but not your data
	rm -rf .venv .venv-chroma .venv-bench .make frontend/node_modules bench/web/node_modules likeopt/web/static build dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis test-results

# -- set-up --------------------------------------------------------------------------------------

.venv/.created:
	@test -n '$(PYTHON)' || { echo 'Like-Opt needs Python 3.11 or newer; none was found.' >&2; exit 1; }
	$(SAY) 'Making .venv with $(PYTHON)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo 'Could not make .venv. On Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@touch $@

.venv/.runtime: requirements.lock .venv/.created
	$(SAY) 'Installing Python packages (150 MB, about a minute)'
	@$(PIP) -r requirements.lock
	@touch $@

.venv/.package: pyproject.toml hatch_build.py .venv/.runtime
	@$(BIN)/python -m pip --disable-pip-version-check -qq install \
		--no-deps --no-build-isolation --editable .
	@touch $@

# One pip at a time in an environment.
.venv/.dev: requirements-dev.lock .venv/.runtime | .venv/.package
	$(SAY) 'Installing development packages'
	@$(PIP) -r requirements-dev.lock
	@touch $@

.venv-chroma/.installed: requirements-chroma.lock .venv/.created
	$(SAY) 'Installing the Chroma server into .venv-chroma'
	@test -x .venv-chroma/bin/python || $(PYTHON) -m venv .venv-chroma
	@.venv-chroma/bin/python -m pip --disable-pip-version-check -qq install \
		--require-hashes -r requirements-chroma.lock
	@touch $@

.venv-bench/.installed: requirements-bench.lock .venv/.created
	$(SAY) 'Installing what the benches compare with into .venv-bench (800 MB)'
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip --disable-pip-version-check -qq install \
		--require-hashes -r requirements-bench.lock
	@touch $@

frontend/node_modules/.installed: frontend/package-lock.json
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null || \
		{ echo 'Building the page needs Node.js 20 or newer (and npm).' >&2; exit 1; }
	$(SAY) 'Installing npm packages'
	@cd frontend && npm ci --loglevel=error --no-fund --no-audit
	@touch $@

PAGE := $(shell find frontend -name node_modules -prune -o -type f -print)

likeopt/web/static/manifest.json: $(PAGE) frontend/node_modules/.installed
	$(SAY) 'Building the page'
	@cd frontend && npm run --silent build
	@touch $@

bench/web/node_modules/.installed: bench/web/package-lock.json
	$(SAY) 'Installing Lighthouse, and a Node.js that is new enough for it (360 MB)'
	@cd bench/web && npm ci --loglevel=error
	@touch $@

.make/bench-web: scripts/install-servers
	@scripts/install-servers bench-web
	@mkdir -p .make && touch $@

.make/servers: scripts/install-servers
	@scripts/install-servers
	@mkdir -p .make && touch $@
