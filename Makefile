# Raincheck: every command a contributor needs. `make help` lists them.
# A fresh machine needs Python 3.11+ with pip, and make; Node 20 for the operator's page and the TypeScript client.
#   make test PYTHON=python3.13      another interpreter (the environment is rebuilt when the version changes)
#   make test VENV=/tmp/other        another place for the environment

PYTHON ?= python3
VENV   ?= .venv
PORT   ?= 8000
UV     ?= uv
ARGS   ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start hundreds of programs: they keep the bytecode of this folder, also where the environment forbids it.
export PYTHONDONTWRITEBYTECODE :=

BIN     := $(VENV)/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
MADE    := $(VENV)/.made-$(VERSION)
DEMO    := $(VENV)/.demo
DEV     := $(VENV)/.dev
PEERS   := $(VENV)-peers
ARQ     := $(PEERS)-arq
OLDEST  := $(VENV)-oldest
CORE_TESTS = $(addprefix tests/,core conformance fastapi contract roles executors stores client cli webhooks)
# A file of tests stays on one worker, and folders stay together, since tests of one folder share servers.
PYTEST   = -m pytest -n 4 --dist loadfile --no-loadscope-reorder
EDITABLE = $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
LOCK     = $(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --quiet \
           --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(ARGS)

COMPILE  = --python-version $(VERSION) --quiet --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help demo test long oldest check bench bench-peers screenshots chaos storms backends fuzz format generated lock clean
.DELETE_ON_ERROR:

help:  ## list the commands
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

demo: $(DEMO)  ## run the demo on http://127.0.0.1:$(PORT); Ctrl-C ends it
	@$(BIN)/raincheck demo --port $(PORT) $(ARGS)

test: $(DEV)  ## run the tests (ARGS="-k name -x" goes to pytest)
	$(BIN)/python $(PYTEST) $(ARGS)

long: $(DEV)  ## run the tests that `make test` skips because they take long
	LONG_TESTS=1 $(BIN)/python $(PYTEST) -m long $(ARGS)

oldest:  ## run the tests with the oldest packages that pyproject.toml allows (needs uv)
	$(UV) venv --quiet --clear --python $(PYTHON) $(OLDEST)
	$(UV) pip compile pyproject.toml --all-extras --resolution lowest-direct $(COMPILE) --output-file $(OLDEST)/oldest.txt
	$(UV) pip compile pyproject.toml --all-extras --group dev --constraints $(OLDEST)/oldest.txt $(COMPILE) \
	    --output-file $(OLDEST)/all.txt
	$(UV) pip install --quiet --python $(OLDEST)/bin/python --requirement $(OLDEST)/all.txt
	$(UV) pip install --quiet --python $(OLDEST)/bin/python --no-deps --no-build-isolation --editable .
	$(OLDEST)/bin/python $(PYTEST) $(if $(ARGS),$(ARGS),$(CORE_TESTS))

check: $(DEV)  ## lint, format, types, layers, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@$(MAKE) --no-print-directory generated ARGS=--check

generated: $(DEV)  ## write the generated files (ARGS=--check only compares)
	@set -e; for generator in $(sort $(wildcard tools/generate_*.py)); do \
	    echo "$$generator $(ARGS)"; $(BIN)/python $$generator $(ARGS); \
	done

format: $(DEV)  ## format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV)  ## measure (docs/capacity.md shows what; ARGS="accept ping")
	$(BIN)/python -m benchmarks $(ARGS)

screenshots: $(DEV)  ## make docs/images/page-*.png from the demo at work, in Chromium
	$(BIN)/python tools/screenshots.py

chaos: $(DEV)  ## kill, pause and starve real processes at length (ARGS="--rounds 50 --seed 1")
	CHAOS_DEEP=1 $(BIN)/python $(PYTEST) tests/chaos tests/engines
	$(BIN)/python -m tests.chaos $(ARGS)

storms: $(DEV)  ## 500 kills, 200 pauses and 40 ends at random moments (ARGS="--seed 1"; half an hour)
	$(BIN)/python -m tests.chaos --promised $(ARGS)

backends: $(DEV)  ## the contract and chaos tests on each store with each engine (ARGS="sqlite+taskiq-nats"; an hour)
	$(BIN)/python -m tests.engines $(ARGS)

bench-peers: $(PEERS)/.made $(ARQ)/.made  ## compare with other ways to do it (ARGS="--only arq --part accept")
	$(PEERS)/bin/python -m benchmarks.peers $(ARGS)

fuzz: $(DEV)  ## fuzz the test applications, 1,000 cases an endpoint (ARGS=100 for fewer)
	$(BIN)/python -m tests.openapi.fuzz $(ARGS)

lock:  ## renew requirements/*.txt with uv (ARGS=--upgrade takes new versions)
	$(LOCK) --group dev --output-file requirements/dev.txt
	$(LOCK) --group demo --constraints requirements/dev.txt --output-file requirements/demo.txt
	$(LOCK) --group peers --constraints requirements/dev.txt --output-file requirements/peers.txt
	$(LOCK) --group peers-arq --constraints requirements/demo.txt --output-file requirements/peers-arq.txt

clean:  ## remove the environment, caches and the demo's data
	rm -rf $(VENV) $(PEERS) $(ARQ) $(OLDEST) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .raincheck-demo
	find . -name __pycache__ -not -path '*/node_modules/*' -prune -exec rm -rf {} +

# The environment. A stamp file tells what is installed, so the second call is instant.
# Debian's python3 may lack ensurepip; then the environment borrows the pip of $(PYTHON).

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Raincheck needs Python 3.11 or newer: make ... PYTHON=python3.12")'
	@echo "Making $(VENV) for Python $(VERSION)"
	@$(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 || { \
	    $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	    $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	@touch $@

$(DEMO): requirements/demo.txt pyproject.toml $(MADE)
	@echo "Installing the demo's packages into $(VENV) (about a minute, once)"
	$(BIN)/python -m pip install --require-hashes --requirement requirements/demo.txt
	$(EDITABLE)
	@touch $@

$(DEV): requirements/dev.txt pyproject.toml $(MADE)
	@echo "Installing the development packages into $(VENV) (one to two minutes, once)"
	$(BIN)/python -m pip install --require-hashes --requirement requirements/dev.txt
	$(EDITABLE)
	@touch $@ $(DEMO)

# The packages of other projects conflict with ours sooner or later, so they live in an environment of their own; those
# that conflict with each other, in two.
$(PEERS)/.made: requirements/peers.txt
	$(MAKE) --no-print-directory VENV=$(PEERS) $(PEERS)/.made-$(VERSION)
	$(PEERS)/bin/python -m pip install --require-hashes --requirement requirements/peers.txt
	$(PEERS)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(ARQ)/.made: requirements/peers-arq.txt
	$(MAKE) --no-print-directory VENV=$(ARQ) $(ARQ)/.made-$(VERSION)
	$(ARQ)/bin/python -m pip install --require-hashes --requirement requirements/peers-arq.txt
	@touch $@
