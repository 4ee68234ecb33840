# The developer's menu. Every target builds .venv first when it is missing or out of date.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
TYPED := src adapters ops $(wildcard bench)

# Handed on: `make run ARGS="--port 9000"`, `make test PYTEST_ARGS="tests/unit -k ledger"`.
ARGS ?=
PYTEST_ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check fast bench fmt docs pins clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(READY) ## set up everything, then start the whole platform on this machine
	$(VENV)/bin/semalink up $(ARGS)

# Tests of a whole platform have the machine to themselves, the two folders side by side; all others
# share it, a worker a core.
ALONE := tests/chaos tests/e2e

# A part of the suite, asked for with PYTEST_ARGS, cannot cover everything: only a whole run is measured.
test: $(READY) ## set up everything, then run the whole suite
ifeq ($(strip $(PYTEST_ARGS)),)
	$(PY) -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal \
		--cov --cov-report= $(addprefix --ignore=,$(ALONE))
	$(PY) -m pytest --numprocesses 2 --dist loadgroup --cov --cov-append --cov-report= $(ALONE)
	$(PY) -m coverage report --include='src/semalink/domain/*,src/semalink/application/*' --fail-under=100
else
	$(PY) -m pytest --cov --cov-report= $(PYTEST_ARGS)
endif

check: $(READY) ## lint, format, types, import contracts, architecture tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy $(TYPED)
	$(VENV)/bin/lint-imports
	$(PY) -m pytest -q tests/architecture

fast: $(READY) ## unit, contract and architecture tests: seconds
	$(PY) -m pytest -q $(wildcard tests/unit tests/contract) tests/architecture $(PYTEST_ARGS)

bench: $(READY) ## the figures of the design beside their baselines, in one run
	$(PY) -m bench $(ARGS)

fmt: $(READY) ## rewrite the style of every file
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(READY) ## write the reference pages from the code
	$(PY) -m semalink_ops.reference docs/reference

# Resolved on the oldest Python that we support, so that the pins hold on every later one.
pins: $(READY) ## resolve the dependencies anew and write constraints.txt
	$(PY) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "make pins needs Python 3.11")'
	$(VENV)/bin/pip-compile --quiet --upgrade --all-extras --allow-unsafe --generate-hashes \
		--strip-extras --no-annotate --no-header --no-emit-options --no-emit-find-links \
		--no-emit-index-url --no-emit-trusted-host --output-file constraints.txt pyproject.toml
	sed -i.old -e '/^#/d' -e '/^$$/d' constraints.txt
	rm constraints.txt.old

clean: ## remove the environment and what tools made; data in var/ stays
	rm -rf $(VENV) build dist .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .schemathesis
	find src adapters ops tests $(wildcard bench) -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "SemaLink needs Python 3.11 or later. Name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Building $(VENV); the first time takes a minute or two."
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) || { \
		echo "This Python cannot make environments; its distribution has the package python3-venv for that." >&2; exit 1; }
	@$(PY) -m pip install --quiet --no-deps --require-hashes -r constraints.txt
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
