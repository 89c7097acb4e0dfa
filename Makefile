# Everything sets itself up: python3 >= 3.11 with its venv module, and make, are enough.
#   make demo        the example site with a local Upstash emulator
#   make test        the whole suite
#   make help        the rest

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What is tested with packages of npm is skipped, and counted, where there is no npm.
NPM := $(if $(shell command -v npm),$(patsubst %,tests/%/npm/node_modules/.package-lock.json,browser emulator))
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint types docs bench clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1: /p' $(MAKEFILE_LIST) | awk -F': ' '{printf "make %-10s %s\n", $$1, $$2}'

demo: $(VENV)/.installed-emulator  ## run the example site; ARGS="--port 8001" and the like
	@$(BIN)/python -m example_project.demo $(ARGS)

test: $(VENV)/.installed-dev $(NPM)  ## run the tests; ARGS="tests/unit -k codec" and the like
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

# What takes minutes: real faults under load, kills in mid-save, 64 workers at one limit.
LONG := tests/outage tests/integration/test_session_crash.py tests/integration/test_ratelimit_workers.py

test-all: $(VENV)/.installed-dev  ## run them on every Python found and every Django that it allows, and the long forms
	$(PYTHON) .ci/matrix.py $(ARGS)
	TEST_LENGTH=30 $(BIN)/python -m pytest $(LONG)

lint: $(VENV)/.installed-dev  ## style, format and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev  ## mypy --strict
	$(BIN)/mypy

docs: $(VENV)/.installed-docs  ## build the documentation into build/docs, warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs

bench: $(VENV)/.installed-dev  ## measure; every number of the documentation comes from here
	$(BIN)/python -m benchmarks $(ARGS)

clean:  ## remove what the other targets made
	rm -rf $(VENV) .venv-* .demo build dist tests/*/npm/node_modules .artifacts .pytest_cache .mypy_cache .ruff_cache .hypothesis

%/node_modules/.package-lock.json: %/package-lock.json
	npm ci --prefix $* --no-audit --no-fund --loglevel error
	@touch $@

# One stamp per extra: `make demo` does not wait for the tools of the developers.
$(VENV)/.installed-%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is too old or missing: Python 3.11 is needed, name one as in: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment: install its venv module (Debian: apt install python3-venv)" >&2; exit 1; }
