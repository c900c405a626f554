# What people and CI do here; `make` alone lists it. Needs Python 3.11 or newer and nothing set up:
# the verbs build .venv first, if it is missing or older than requirements.lock or pyproject.toml.

IS_RECENT = -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" $(IS_RECENT) 2>/dev/null && echo "$$python" && break; done)
BIN := .venv/bin

# The tool that writes requirements.lock; another version may lay it out differently.
UV := uv==0.13.8

# Tests that look at how soon servers answer, or at what they hold; the others take no harm from
# tests beside them, and wait more than they work.
ALONE := $(addprefix tests/,test_hostile_clients.py test_leaving_often.py test_deaf_viewers.py \
	apps/test_scenarios_liveness.py servers/test_half_closed.py)

# A caller's modules must not stand in for the locked ones.
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help setup run test lint format soak bench servers screenshots lock wheel clean

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

setup: .venv/installed.stamp  ## build .venv from requirements.lock; at once when it is built

run: setup  ## start the demo at http://127.0.0.1:8000
	@$(BIN)/fanstream demo

test: lint  ## lint, then pass every test
	@scripts=$$(find tests/js -name '*.test.*js' 2>/dev/null); \
	if [ -z "$$scripts" ]; then echo "tests/js holds no *.test.js" >&2; exit 1; \
	elif command -v node >/dev/null; then echo "node --test" $$scripts; \
		node --test --test-reporter=dot $$scripts; \
	elif [ -n "$$CI" ]; then echo "CI needs node for tests/js" >&2; exit 1; \
	else echo "skipped tests/js: node is not installed"; fi
	$(BIN)/python -m pytest -q -n 3 --dist loadfile $(addprefix --ignore=,$(ALONE))
	$(BIN)/python -m pytest -q $(ALONE)

lint: setup  ## ruff and mypy
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

format: setup  ## mend what ruff can mend
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

# Half an hour for one test, where the others have two minutes.
soak: setup  ## the long tests, under load
	$(BIN)/python -m pytest -m soak -o faulthandler_timeout=1800

bench: setup  ## measure beside the peers; ONLY=fanout for one benchmark
	$(BIN)/python -m benchmarks $(ONLY)

servers: setup  ## try all servers, and write the table of docs/servers.md
	$(BIN)/python -m tests.servers

screenshots: setup  ## take the pictures of docs/page anew
	@mkdir -p docs/page
	SCREENSHOTS=docs/page $(BIN)/python -m pytest -q tests/page/test_screenshots.py

# Hashes of every file of a release, as the public registry has them: local folders and further
# indexes are left out. One file for all supported Pythons; markers tell them apart.
lock:  ## pin everything anew
	@$(check-python)
	"$(PYTHON)" -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check $(UV)
	env -u UV_INDEX -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS .venv-lock/bin/uv pip compile \
		--no-config --quiet --upgrade --universal --python-version 3.11 --all-extras --group dev \
		--generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" --output-file requirements.lock pyproject.toml
	@! grep -n '://' requirements.lock

wheel: setup  ## build dist/ anew: the source archive, and the wheel from it
	rm -rf dist
	$(BIN)/python -m build --no-isolation

clean:  ## remove all that is built
	rm -rf .venv .venv-lock .venv-newer build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define check-python
"$(PYTHON)" $(IS_RECENT) 2>/dev/null || { \
	echo "fanstream needs Python 3.11 or newer, and $(or $(PYTHON),python3) is not." >&2; \
	echo "Name one: make setup PYTHON=/path/to/python3.12" >&2; exit 1; }
endef

# Installed from scratch, so that nothing stays behind that the lock no longer names.
.venv/locked.stamp: requirements.lock
	@$(check-python)
	"$(PYTHON)" -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements.lock
	@touch $@

.venv/installed.stamp: .venv/locked.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
		--no-build-isolation --editable .
	@touch $@
