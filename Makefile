# Each target installs what it needs. Requirements: make, python3 >= 3.11 with its venv module.
#   make demo        the example site with a local Upstash emulator
#   make test        all tests
#   make help        all targets

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Without npm, the tests that need npm packages are skipped and reported.
NPM := $(if $(shell command -v npm),$(patsubst %,tests/%/npm/node_modules/.package-lock.json,browser deploy integration/sdk))
NPM_TOOLS := $(if $(shell command -v npm),tests/deploy/npm/node_modules/.tools)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo guide test test-all test-deploy test-service lint types docs gate bench release audit clean lock

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## /\1: /p' $(MAKEFILE_LIST) | awk -F': ' '{printf "make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/.installed-emulator,django-tasks  ## run the example site, e.g. with ARGS="--port 8001"
	@$(BIN)/python -m example_project.demo $(ARGS)

guide: $(VENV)/.installed-emulator,django-tasks  ## run the examples of the guide, e.g. with ARGS="--only queue"
	@$(BIN)/python -m example_project.guide $(ARGS)

test: $(VENV)/.installed-dev $(NPM)  ## run the tests, e.g. with ARGS="tests/unit -k codec"
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

# Tests that TEST_LENGTH makes longer, and whose parameters it combines in full: faults under load,
# processes killed while saving, 64 workers at one limit, Django's tests in every mode,
# every page of the documentation in a browser.
LONG := tests/outage tests/conformance tests/integration/interruption tests/integration/gopherlua tests/integration/cache/test_binary_safety.py tests/integration/sessions/test_crash.py tests/integration/ratelimit/test_workers.py tests/integration/failover/test_budget_load.py tests/browser/test_docs_site.py

test-all: $(VENV)/.installed-dev  ## run all tests, on each installed Python and supported Django
	$(PYTHON) .ci/matrix.py $(ARGS)
	TEST_LENGTH=30 $(BIN)/python -m pytest $(LONG)
	$(MAKE) test-deploy
	for profile in upstash upstash-2025 fly srh; do $(BIN)/python -m tests.service --profile=$$profile || exit 1; done

# Without PROFILE, the database of UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN.
test-service: $(VENV)/.installed-dev  ## check what we assume about Upstash, on your database or with PROFILE=upstash
	@$(BIN)/python -m tests.service $(if $(PROFILE),--profile=$(PROFILE)) $(ARGS)

# In an environment of its own, because of the size of the validators. The steps of the image are
# run in another one, which the test makes.
test-deploy: $(VENV)-deploy/.installed $(NPM_TOOLS)  ## check deploy/ by the platforms' validators, and install its site
	DEPLOY_INSTALL=1 TEST_LENGTH=10 $(VENV)-deploy/bin/python -m pytest -rs $(ARGS) tests/deploy

lint: $(VENV)/.installed-dev  ## check style, format and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev  ## run mypy --strict, then mypy and pyright on users' code
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/typing

docs: $(VENV)/.installed-docs  ## build the documentation in build/docs; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "  build/docs/index.html"

gate: $(VENV)/.installed-dev  ## compare the CPU time of calls with that of a bare socket, in 10 seconds
	$(BIN)/python -m benchmarks.gate

# In an environment of its own: it installs the libraries that are compared, which no test needs.
bench: $(VENV)-bench/.installed  ## run the benchmarks, the source of all figures in the documentation
	$(VENV)-bench/bin/python -m benchmarks $(ARGS)

$(VENV)-bench/.installed: pyproject.toml
	@echo "  Installing the packages of the extra [bench] in $(VENV)-bench, once; this takes up to a few minutes ..."
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip install --quiet --editable '.[bench]'
	@touch $@

$(VENV)-deploy/.installed: pyproject.toml
	@echo "  Installing the packages of the extra [dev,deploy] in $(VENV)-deploy, once; this takes up to a few minutes ..."
	$(PYTHON) -m venv $(VENV)-deploy
	$(VENV)-deploy/bin/python -m pip install --quiet --editable '.[dev,deploy]'
	@touch $@

release: $(VENV)-release/.installed  ## build and tag a release, e.g. with VERSION=0.2.0 ARGS=--dry-run
	$(VENV)-release/bin/python .ci/release.py $(VERSION) $(ARGS)

$(VENV)-release/.installed: pyproject.toml
	@echo "  Installing the packages of the extra [release] in $(VENV)-release, once; this takes up to a few minutes ..."
	$(PYTHON) -m venv $(VENV)-release
	$(VENV)-release/bin/python -m pip install --quiet --editable '.[release]'
	@touch $@

audit: $(VENV)/.installed-dev  ## look up the locked packages in the vulnerability database of PyPI
	$(BIN)/python -m pip install --quiet pip-audit
	@$(BIN)/pip-audit --strict --require-hashes --disable-pip --requirement requirements-dev.lock || { \
	  echo "The audit failed: update each package that is listed with a vulnerability by make lock." >&2; \
	  echo "If a package is 'not found on PyPI', pypi.org cannot be reached: nothing was audited." >&2; exit 1; }

clean:  ## remove everything that the other targets create
	rm -rf $(VENV) .venv-* .demo build dist tests/browser/npm/node_modules tests/deploy/npm/node_modules tests/integration/sdk/npm/node_modules .artifacts .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Without the development dependencies: the tools of Vercel and Cloudflare are large.
%/node_modules/.package-lock.json: %/package-lock.json
	npm ci --prefix $* --omit dev --no-audit --no-fund --loglevel error
	@touch $@

%/node_modules/.tools: %/package-lock.json
	npm ci --prefix $* --no-audit --no-fund --loglevel error
	@touch $@

# Development and CI install exactly the packages of the lock file.
LOCKED := $(VENV)/.installed-dev $(VENV)/.installed-docs
$(LOCKED): pyproject.toml requirements-dev.lock | $(VENV)/bin/python
	@echo "  Installing the locked packages in $(VENV), once; this takes up to a few minutes ..."
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $(LOCKED)

lock: | $(VENV)/bin/python  ## update requirements-dev.lock
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra docs --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --upgrade --quiet --output-file requirements-dev.lock

# One stamp file per extra, so that `make demo` does not install the development tools.
$(VENV)/.installed-%: pyproject.toml | $(VENV)/bin/python
	@echo "  Installing the packages of the extra [$*] in $(VENV), once; this takes up to a minute ..."
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is missing or older than Python 3.11: select another one with make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot create a virtual environment: install its venv module (Debian: apt install python3-venv)" >&2; exit 1; }
