# The commands of this project, the same on a developer's machine and in continuous integration.
# Needed beforehand: make, and Python 3.11, 3.12 or 3.13 with pip. Everything else goes into .venv.

PYTHON ?= python3
# Processes that run the tests. Each gets one thread (below): more would only contend for the cores. A process that
# has none left takes some of another's, for a few tests are long.
TEST_WORKERS ?= 2
# Further arguments for pytest, as in: make test PYTEST_ARGS="-k iwae"
PYTEST_ARGS ?=

# Further arguments for the speed comparison, as in: make bench BENCH_ARGS="--batches 128"
BENCH_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
RUN := runs/digits
# The constraints hold for jensen's dependencies and for those of its build.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint format clean bench bench-peers

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/installed ## train on the digits, evaluate, sample and write a report (a few minutes)
	$(BIN)/jensen train digits --out $(RUN) --overwrite
	$(BIN)/jensen evaluate $(RUN) > $(RUN)/evaluation.txt
	$(BIN)/jensen sample $(RUN) -n 64 -o $(RUN)/samples.png
	$(BIN)/jensen report $(RUN)
	@echo
	@cat $(RUN)/evaluation.txt
	@echo
	@echo "samples: $(RUN)/samples.png"
	@echo "report:  $(RUN)/report.html"

test: lint ## lint, types and all tests, as in continuous integration
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal $(PYTEST_ARGS)

lint: $(VENV)/installed-dev ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/installed-dev ## reformat the code, and mend what ruff can mend
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

bench: $(VENV)/installed ## training speed beside the peers that `make bench-peers` has installed: 15 minutes
	$(BIN)/python -m benchmarks.speed $(BENCH_ARGS)

bench-peers: $(PEERS)/installed ## install what the benchmarks compare with, into .venv-peers

clean: ## remove caches and builds; .venv and runs stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# These files date the last installation: it is repeated when what it depends on has changed, or when
# the Python of .venv is gone. (make looks at dates before it rebuilds .venv, hence the early removal.)
$(shell test -x $(BIN)/python || rm -f $(VENV)/installed $(VENV)/installed-dev)
$(shell test -x $(PEERS)/bin/python || rm -f $(PEERS)/installed)

$(VENV)/installed: $(BIN)/python pyproject.toml constraints.txt
	$(PIP_INSTALL) pip
	$(PIP_INSTALL) --build-constraint constraints.txt -e .
	@touch $@

$(VENV)/installed-dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP_INSTALL) pip
	$(PIP_INSTALL) --build-constraint constraints.txt -e '.[dev]'
	@touch $(VENV)/installed $@

# An environment of their own: their licences and the old versions that some of them pin stay out of jensen's.
$(PEERS)/installed: $(PEERS)/bin/python benchmarks/peers.txt
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt
	@touch $@

$(PEERS)/bin/python:
	$(PYTHON) -m venv --clear $(PEERS)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else \
	  "jensen needs Python 3.11, 3.12 or 3.13, but $(PYTHON) is %d.%d: choose another, as in make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv --clear $(VENV)
