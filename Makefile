# Each target works from a fresh clone: it makes .venv, installs into it, and runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# The folders under the names that they are installed with, for mypy.
TYPED := $(VENV)/typed/coreframe
TYPED_LINKS := $(TYPED)/flows $(TYPED)/tasks $(patsubst flows/interactive/%,$(TYPED)/%,$(wildcard flows/interactive/*.py))

# Tests of one file share what they start, so they run in one process; long files come first.
SPREAD := --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: demo quick test all-tests trials style types pure clean

demo: $(VENV)/.installed
	$(BIN)/python data/make_demo.py data/demo
	$(BIN)/coreframe curate data/demo --store data/demo-store --out data/demo-out \
		--n-samples 40 --corrupt-threshold 0.2

# What runs before a commit. Types are checked beside the tests: the first time it takes a minute.
quick: style
	$(MAKE) --jobs 2 types pure

# The tests that start nothing.
pure: $(VENV)/.installed-dev
	$(BIN)/pytest $(SPREAD) -m 'not integration'

test: style
	$(MAKE) --jobs 2 types all-tests

all-tests: $(VENV)/.installed-dev
	$(BIN)/pytest $(SPREAD)

# What tests/ tries shortly, at length: kills at random moments, many videos, many examples.
trials: $(VENV)/.installed-dev
	HYPOTHESIS_PROFILE=trials $(BIN)/pytest $(SPREAD) tests/trials
	HYPOTHESIS_PROFILE=trials $(BIN)/pytest $(SPREAD) --timeout 3600 -m hypothesis

style: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev $(TYPED_LINKS)
	MYPYPATH=$(VENV)/typed $(BIN)/mypy

$(TYPED)/flows $(TYPED)/tasks:
	mkdir -p $(TYPED)
	ln -sfn $(CURDIR)/$(@F) $@

$(TYPED)/%.py: flows/interactive/%.py
	mkdir -p $(TYPED)
	ln -sfn $(CURDIR)/$< $@

$(VENV)/.installed: pyproject.toml deployments/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Coreframe needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint deployments/constraints.txt --editable '.[run]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint deployments/constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) data/demo data/demo-store data/demo-out
