# Short names for what Python does. `make up ARGS="--ports auto"` passes flags on.
PYTHON ?= python3
PY := .venv/bin/python
ARGS ?=
# Tests mostly wait, so there are more processes of them than cores. -rs says why one was skipped.
PROCESSES ?= 3
PYTEST := .venv/bin/pytest -n $(PROCESSES) -rs

.PHONY: help setup up down reset status backup restore recover test test-unit test-integration test-faults soak record-histories check pages bench bench-orders bench-prices capacity demo demo-scale clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '%-20s %s\n' "$$name" "$$text"; done

up: .venv/ready ## start everything; Ctrl-C stops it (ARGS="--detach" returns when it is ready)
	@$(PY) -m devstack up $(ARGS)

down: .venv/ready ## stop what runs in the background; data stays
	@$(PY) -m devstack down

reset: .venv/ready ## stop, and remove all data that `up` made
	@$(PY) -m devstack reset

status: .venv/ready ## what runs, where, and how often it was restarted
	@$(PY) -m devstack status $(ARGS)

backup: .venv/ready ## copy Postgres while it runs (ARGS="FOLDER")
	@$(PY) -m devstack backup $(ARGS)

restore: .venv/ready ## put such a copy back while nothing runs (ARGS="FOLDER")
	@$(PY) -m devstack restore $(ARGS)

recover: .venv/ready ## start again after a loss (ARGS="temporal", "jetstream" or "postgres")
	@$(PY) -m devstack recover $(ARGS)

check: .venv/ready ## style, types, import floors, generated pages
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports && $(PY) -m tests.pages --check

pages: .venv/ready ## write the generated files of docs/ anew: contracts, problems, crash points
	@$(PY) -m tests.pages

test: .venv/ready ## every test
	$(PYTEST) $(ARGS)

test-unit: .venv/ready ## seconds, no servers
	.venv/bin/pytest tests/unit $(ARGS)

test-integration: .venv/ready ## against real servers, started for it
	$(PYTEST) tests/integration $(ARGS)

test-faults: .venv/ready ## processes killed on purpose, at every crash point: ten minutes, and a table
	$(PYTEST) tests/faults --every-crash-point $(ARGS)

# MINUTES of load; the same SEED does the same things again (any, if left out).
MINUTES ?= 2
SEED ?=
soak: .venv/ready ## load and random faults, then every invariant: MINUTES=10 SEED=n
	@$(PY) -m tests.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

record-histories: .venv/ready ## record the stories that have no history yet (ARGS="filled busted" or ARGS=all: anew)
	@$(PY) -m tests.replay.record $(ARGS)

bench: .venv/ready ## every measurement
	@$(PY) -m bench $(ARGS)

bench-orders: .venv/ready ## orders a second and their latency
	@$(PY) -m bench.orders $(ARGS)

bench-prices: .venv/ready ## viewers a node carries beside the usual way; QUICK=1: in under a minute
	@$(PY) -m bench.prices $(ARGS)

capacity: .venv/ready ## what an order and a viewer cost here, and from that what 20 M users need
	@$(PY) -m bench.capacity $(ARGS)

demo: .venv/ready ## 1,000 orders through a faulty exchange, then compared with its own list
	@$(PY) -m bench.demo $(ARGS)

demo-scale: .venv/ready ## order workers that come and go with the backlog, by the cluster's rule
	@$(PY) -m bench.scale $(ARGS)

setup: .venv/ready ## only make .venv

clean: ## remove .venv and caches; data stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info

# Made anew when the lock changes. Only Python and its own pip are needed. The lock is whole: nothing
# is added to it, so that what it leaves out on purpose (pyproject.toml, tool.uv) is not asked for.
.venv/ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/it")'
	@echo "making .venv: $$(grep -c '==' requirements/dev.txt) packages, a minute the first time"
	@$(PYTHON) -m venv .venv
	$(PY) -m pip install --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	$(PY) -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
