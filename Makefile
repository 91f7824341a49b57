# Everything a newcomer needs: `make demo` and `make test`. Both set up what is missing first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=

.PHONY: demo test lint format setup bench chaos soak lock clean help

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: $(READY) ## Create the environment from pinned dependencies

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, $(PYTHON) is older; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "Cannot create a virtual environment. Debian/Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@echo "installing pinned dependencies (about a minute, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## One term of the alliance on this machine; ARGS="--exit --json", "--chaos"
	@$(BIN)/alliance demo $(ARGS)

test: $(READY) ## All tests, those against the real broker included
	@.ci/browser.sh
	@.ci/hledger.sh
	@.ci/sshd.sh
	@$(BIN)/python -m pytest $(ARGS)

lint: $(READY) ## Format, lint, types, import arrows, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/alliance schemas check
	@$(BIN)/alliance catalogue --check-diagrams

format: $(READY) ## Format and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY) ## Figures against a plain Faust baseline, as JSON
	@$(BIN)/alliance bench $(ARGS)

chaos: $(READY) ## The term with processes killed at random moments
	@$(BIN)/alliance demo --exit --json --chaos $(ARGS)

soak: $(READY) ## The longer test suites (marker slow)
	@$(BIN)/python -m pytest -m slow $(ARGS)

lock: $(READY) ## Pin the newest allowed versions
	@$(BIN)/pip-compile --quiet --upgrade --all-extras --generate-hashes --strip-extras --allow-unsafe --no-header \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options --no-annotate \
	  -o requirements.lock pyproject.toml

clean: ## Remove environment, state and caches
	@test ! -x $(BIN)/alliance || $(BIN)/alliance broker stop || true
	@rm -rf $(VENV) .state .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
