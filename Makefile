# `make` alone says what there is. Everything runs in $(VENV), which the targets make themselves.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Two workers; one file's tests stay together, in order, in one worker.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

# Ring 3 is tests/live (sockets on loopback); tests/packaging makes virtual environments, and
# tests/faults mounts disks.
RINGS_1_AND_2 := tests --ignore=tests/live --ignore=tests/packaging --ignore=tests/faults
# Begun last, each of these would keep one worker busy while the other has nothing to do.
SLOWEST_FIRST := tests/packaging tests/faults tests/live tests
# Other tests cover what these do.
SLOW_AND_COVERED := packaging faults model torture bench scenarios rules/test_histories.py \
    live/test_bench_live.py live/test_flood.py live/test_restart_live.py \
    live/test_torture_live.py live/test_twenty_seconds_live.py live/test_incidents_live.py \
    live/test_replay_live.py
# Traced, nothing is as fast as this wants.
TOO_FAST := live/test_bridge_live.py::TwistdTests::test_it_keeps_up_with_10000_events_a_second
# In these packages every line and branch is tested.
WHOLLY_TESTED := events rules outbox notifiers

# How often `make torture` kills a watcher, and which way (SEED=7); without a seed it takes its own.
KILLS ?= 300
SEED ?=

.DEFAULT_GOAL := help
.PHONY: help venv demo recording test check lint types rings coverage bench torture mutants clean
.SUFFIXES:

help: ## say what there is
	@echo "usage: make TARGET [PYTHON=python3.12] [VENV=.venv]"
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  \1	\2/p' $(MAKEFILE_LIST) | expand -t 12

venv: $(VENV)/.dev ## make the virtual environment, with all tools

demo: $(VENV)/.runtime ## watch a simulated cloud, on this machine alone
	$(BIN)/tutumwatch run --demo

recording: $(VENV)/.runtime ## record a minute and a half of the demo into docs/demo.txt
	timeout --signal=INT 90 $(BIN)/tutumwatch run --demo --seed 11 > docs/demo.txt || true

test: $(VENV)/.dev ## run all tests
	$(PYTEST) $(SLOWEST_FIRST)

check: lint types rings ## run what must pass before a commit: lint, types, the quick tests

lint: $(VENV)/.dev ## check style, format and docstrings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/interrogate -c pyproject.toml tutumwatch

types: $(VENV)/.dev ## check types
	$(BIN)/mypy

rings: $(VENV)/.dev ## run the tests that need no socket and no network
	$(PYTEST) $(RINGS_1_AND_2)

coverage: $(VENV)/.dev ## run the tests under coverage and hold the floors
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(WORKERS) --dist loadfile \
	    $(addprefix --ignore=tests/,$(SLOW_AND_COVERED)) --deselect=tests/$(TOO_FAST)
	$(BIN)/coverage combine --quiet
	@failed=0; \
	$(BIN)/coverage report || failed=1; \
	for package in $(WHOLLY_TESTED); do \
	    echo "tutumwatch/$$package, which must be tested wholly:"; \
	    $(BIN)/coverage report --include="*/tutumwatch/$$package/*" --fail-under=100 || failed=1; \
	done; \
	exit $$failed

bench: $(VENV)/.dev ## measure ourselves beside others, on a quiet machine: 15 minutes, into docs/
	$(BIN)/python -m bench --write docs

torture: $(VENV)/.dev ## kill a watcher KILLS=300 times, and keep books of what it owed
	$(BIN)/python -m tests.torture --kills $(KILLS) $(if $(SEED),--seed $(SEED))

mutants: $(VENV)/.dev ## break each promise on purpose, to see that a test fails
	$(BIN)/python -m tests.torture.mutants

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf *.egg-info twisted/plugins/dropin.cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "tutumwatch needs Python 3.11 or later, and $(PYTHON) is not that:" >&2; \
	    $(PYTHON) --version >&2; \
	    echo "name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { \
	    echo "$(PYTHON) could not make a virtual environment;" \
	        "on Debian and Ubuntu: apt install python3-venv" >&2; \
	    rm -rf $(VENV); exit 1; }

$(VENV)/.runtime: pyproject.toml | $(BIN)/python
	@echo "installing what tutumwatch needs into $(VENV)"
	@$(PIP) install -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "installing what tutumwatch and its developers need into $(VENV)"
	@$(PIP) install -e '.[dev]'
	@touch $@ $(VENV)/.runtime
