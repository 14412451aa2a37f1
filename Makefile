# make demo   a sample school, from its data to a proven joint revocation
# make test   everything the suite needs, then the whole suite
# make lint   the same without the tests: ruff, mypy, import-linter
# make simulate N=20000  histories of a simulated school with crashes and faults; every promise is checked after each
# make bench  the figures of docs/performance.md
# make bench-batches  the same for thousands closed together, on slapd and Samba
# make bench-sessions  one sweep of a million sessions, and what other clients of that Redis notice
# make lock   new versions into requirements/
# make clean  take the environment and the demo away

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Wheels only: an installation must never need a compiler. Hashes always: what is installed is what was locked.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: --require-hashes
INSTALL_PROJECT := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation
LOCK := CUSTOM_COMPILE_COMMAND="make lock" $(VENV)-lock/bin/pip-compile --quiet --upgrade --generate-hashes \
	--strip-extras --allow-unsafe --no-emit-options

.PHONY: help demo test lint bench bench-batches bench-sessions simulate lock clean servers
.DEFAULT_GOAL := help
.NOTPARALLEL:

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

demo: $(VENV)/.runtime
	@$(BIN)/python -m tools.demo

test: servers lint
	@$(BIN)/python -m pytest

lint: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

bench: $(VENV)/.runtime
	@$(BIN)/python -m tools.bench --write docs/performance.md

N ?= 5000
simulate: $(VENV)/.test
	@$(BIN)/python -m tools.simulate --histories $(N)

bench-batches: servers $(VENV)/.test
	@$(BIN)/python -m tools.bench_batches --write docs/performance.md

bench-sessions: servers $(VENV)/.test
	@$(BIN)/python -m tools.bench_sessions --write docs/performance.md

servers:
	@bash tools/servers.sh

lock:
	@$(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/python -m pip install --quiet --disable-pip-version-check pip-tools
	@$(LOCK) --extra postgresql --output-file requirements/runtime.txt pyproject.toml requirements/runtime.in
	@$(LOCK) --output-file requirements/test.txt requirements/test.in

clean:
	@rm -rf $(VENV) $(VENV)-lock demo

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# The project is installed in place: what runs is what stands here.
$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing what requirements/runtime.txt locks ..."
	@$(INSTALL) -r requirements/runtime.txt
	@$(INSTALL_PROJECT) --editable .
	@touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.runtime
	@echo "Installing what requirements/test.txt locks ..."
	@$(INSTALL) -r requirements/test.txt
	@touch $@
