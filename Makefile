# make demo   a sample school, from its data to a proven joint revocation
# make test   everything the suite needs, then the whole suite
# make lint   the same without the tests: ruff, mypy, import-linter
# make simulate N=20000  histories of a simulated school with crashes and faults; every promise is checked after each
# make simulate-year SEED=1 YEARS=20  years of a simulated school, night by night by the real daemon, a minute each
# make kill-daemon FOR=600  the daemon killed at random moments, for so many seconds
# make bench  the figures of docs/performance.md
# make bench-batches  the same for thousands closed together, on slapd and Samba
# make bench-sessions  one sweep of a million sessions, and what other clients of that Redis notice
# make bench-scim  the SCIM endpoint beside two others, by wrk, with 10,000 and 100,000 Users
# make wheel  the wheel and the sdist into dist/
# make sbom   dist/sbom.cdx.json: what an installation is made of (CycloneDX)
# make audit  known vulnerabilities in what is locked; fails where the database cannot be reached
# make lock   new versions into requirements/
# make clean  take the environment and the demo away

# Hundreds of tests start the connector as a process of its own: compiled anew each time it would start half as fast.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Wheels only: an installation must never need a compiler. Hashes always: what is installed is what was locked.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: --require-hashes
INSTALL_PROJECT := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation
LOCK := CUSTOM_COMPILE_COMMAND="make lock" $(VENV)-lock/bin/pip-compile --quiet --upgrade --generate-hashes \
	--strip-extras --allow-unsafe --no-emit-options

.PHONY: help demo test lint kill-daemon bench bench-batches bench-sessions bench-scim simulate simulate-year wheel sbom audit lock clean servers
.DEFAULT_GOAL := help
.NOTPARALLEL:

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

demo: $(VENV)/.runtime
	@$(BIN)/python -m tools.demo

# Whole files go to one process or the other: each has servers of its own. What measures time comes after, alone.
WORKERS ?= 2
test: servers lint
	@$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder -m "not alone"
	@$(BIN)/python -m pytest -m alone

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

SEED ?= 1
YEARS ?= 1
simulate-year: $(VENV)/.test
	@$(BIN)/python -m tools.simulate_year --seed $(SEED) --years $(YEARS)

FOR ?= 600
SEED ?=
kill-daemon: servers $(VENV)/.test
	@CONNECTOR_KILL_SECONDS=$(FOR) CONNECTOR_KILL_SEED=$(SEED) $(BIN)/python -m pytest tests/e2e/test_daemon_killed.py

bench-batches: servers $(VENV)/.test
	@$(BIN)/python -m tools.bench_batches --write docs/performance.md

bench-sessions: servers $(VENV)/.test
	@$(BIN)/python -m tools.bench_sessions --write docs/performance.md

bench-scim: $(VENV)/.test
	@bash tools/servers.sh bench
	@$(BIN)/python -m tools.bench_scim --write docs/performance.md

servers:
	@bash tools/servers.sh

# What is not in the lock is not built with: no environment of its own is made, nothing is fetched.
wheel: $(VENV)/.runtime
	@rm -rf dist
	@$(BIN)/python -m hatchling build --directory dist

sbom: wheel $(VENV)-tools/.tools
	@$(VENV)-tools/bin/python -m tools.sbom --wheel dist/*.whl --out dist/sbom.cdx.json

audit: $(VENV)-tools/.tools
	@$(VENV)-tools/bin/python -m tools.audit

lock:
	@$(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/python -m pip install --quiet --disable-pip-version-check pip-tools
	@$(LOCK) --extra postgresql --output-file requirements/runtime.txt pyproject.toml requirements/runtime.in
	@$(LOCK) --output-file requirements/test.txt requirements/test.in
	@$(LOCK) --output-file requirements/bench.txt requirements/bench.in
	@$(LOCK) --output-file requirements/tools.txt requirements/tools.in
	@$(LOCK) --output-file requirements/keyring.txt requirements/keyring.in

clean:
	@rm -rf $(VENV) $(VENV)-lock $(VENV)-tools demo dist

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

$(VENV)-tools/.tools: requirements/tools.txt
	@$(PYTHON) -m venv $(VENV)-tools
	@$(VENV)-tools/bin/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: --require-hashes -r $<
	@touch $@
