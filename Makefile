# The daily commands; `make` lists them. Everything is installed into .venv, nothing outside this folder.

PYTHON ?= python3
ARGS ?=

VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PY := $(BIN)/python
PIP_INSTALL := $(PY) -m pip install --disable-pip-version-check --quiet -c constraints.txt

# maturin and clippy compile for the same interpreter, so that neither undoes the other's build.
export PYO3_PYTHON := $(CURDIR)/$(PY)

ENGINE := pyproject.toml constraints.txt Cargo.toml $(wildcard Cargo.lock) $(shell find src -name '*.rs')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help build train test test-rust test-python lint lint-python lint-rust bench bench-kernels bench-peers bench-replay bench-solution instructions stages clean check

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

build: $(VENV)/.train ## set up .venv and build the engine

train: $(VENV)/.train ## build, and train a unit of the IEEE test system to bid; ARGS="..." goes to `vecmarket train`
	$(BIN)/vecmarket train $(ARGS)

test: test-rust test-python ## build, and run every test, Rust and Python

test-rust: | check ## the Rust tests alone
	cargo test

test-python: $(VENV)/.train $(VENV)/.dev ## build, and run the Python tests; ARGS="..." goes to pytest
	$(PY) -m pytest $(ARGS)

lint: lint-python lint-rust ## formatting, types and clippy

lint-python: $(VENV)/.train $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

lint-rust: $(VENV)/.created
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets --features python -- -D warnings

bench: $(VENV)/.train $(VENV)/.dev ## measure, and write bench/RESULTS.md; ARGS="..." goes to `python -m bench`
	$(PY) -m bench $(ARGS)

bench-kernels: | check ## time the Rust kernels alone; ARGS="..." goes to criterion: a filter, --quick
	cargo bench --bench kernels -- $(ARGS)

bench-peers: $(VENV)/.train $(VENV)/.dev ## measure other vector environments beside ours, and write bench/PEERS.md
	$(PY) -m bench.peers $(ARGS)

bench-replay: $(VENV)/.train $(VENV)/.dev ## measure other replay buffers beside ours, and write bench/REPLAY.md
	$(PY) -m bench.replay $(ARGS)

bench-solution: $(VENV)/.train $(VENV)/.dev ## measure how long best responses take to learn, and write bench/SOLUTION.md
	$(PY) -m bench.time_to_solution $(ARGS)

instructions: | check ## count the kernels' instructions against bench/instructions.json; ARGS=--record renews it
	"$(PYTHON)" -m bench.instructions $(ARGS)

stages: | check ## count where the instructions of a step go, stage by stage
	"$(PYTHON)" -m bench.stages

clean: ## remove what was built and installed; runs/ stays
	rm -rf $(VENV) target dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f vecmarket/_core*.so vecmarket/_core*.pyd
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What has to be there beforehand, with a message for each thing that is not.
check:
	@command -v "$(PYTHON)" >/dev/null || { \
	    echo "vecmarket needs Python 3.10 or newer, and '$(PYTHON)' is not found; install it, or name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "vecmarket needs Python 3.10 or newer, and '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1); name a newer one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "'$(PYTHON)' cannot make virtual environments: its venv module is missing (on Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@command -v cargo >/dev/null || { \
	    echo "vecmarket needs a Rust toolchain, 1.89 or newer, and 'cargo' is not found; https://rustup.rs installs one" >&2; exit 1; }

$(VENV)/.created: | check
	"$(PYTHON)" -m venv $(VENV)
	@touch $@

# The package itself is installed in place, so only a change of the engine or of the requirements comes back here.
$(VENV)/.train: $(VENV)/.created $(ENGINE)
	@echo "installing the requirements and building the engine (the first time takes some minutes)"
	$(PIP_INSTALL) -e '.[train]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/.train
	$(PIP_INSTALL) -e '.[dev]'
	@touch $@
