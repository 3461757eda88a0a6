# Two commands do all the set-up on a fresh Debian 12: `apt-get install -y make git` and `make setup`.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.PHONY: setup lint format unit test test-all chaos death demo bench lock clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml requirements-dev.txt
	deploy/setup.sh $(VENV) $(PYTHON)
	touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Everything that needs neither a lab nor a Temporal server for long: some three minutes.
unit: setup
	$(BIN)/pytest -m "not lab and not slow and not temporal"

# What fits into an hour on two cores: the lab, and a sample of the faults, included.
test: setup
	$(BIN)/pytest -m "not slow"

# Everything there is.
test-all: setup
	$(BIN)/pytest

# Every step with every fault, and 200 upgrades whose worker or server dies; on the simulator, some hours. Beforehand:
# `make chaos ARGS="--list"`. One case again: `make chaos CASE=5d0f3c48`.
chaos: setup
	$(BIN)/python -m tests.chaos.matrix $(if $(CASE),--case $(CASE),--share 8) $(ARGS)
	$(if $(CASE)$(ARGS),,$(MAKE) death)

RUNS ?= 200
death: setup
	$(BIN)/python -m tests.chaos.death --runs $(RUNS) --jobs 2 --at-once 6

# A real cloud on this machine, upgraded under Temporal, with guests running on it.
demo: setup
	$(BIN)/stackroll demo

# What an upgrade costs its controller, on a simulated cloud: `make bench HOSTS=200`; and how often guests move, and how
# long it takes, when 200 hosts are emptied: fails when that is not what is aimed at.
HOSTS ?= 50
bench: setup
	$(BIN)/python -m benchmarks.upgrade --hosts $(HOSTS) --out build/bench-$(HOSTS).json
	$(BIN)/python -m benchmarks.drain

# Names, versions and hashes; no index address (a mirror is the machine's own affair).
lock: setup
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --extra dev pyproject.toml -o requirements-dev.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
