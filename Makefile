# Each target works from a fresh clone: it makes .venv, installs into it, and runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# The folders under the names that they are installed with, for mypy.
TYPED := $(VENV)/typed/coreframe
TYPED_LINKS := $(TYPED)/flows $(TYPED)/tasks $(patsubst flows/interactive/%,$(TYPED)/%,$(wildcard flows/interactive/*.py))

.PHONY: demo test quick lint clean

demo: $(VENV)/.installed
	$(BIN)/python data/make_demo.py data/demo
	$(BIN)/coreframe curate data/demo --store data/demo-store --out data/demo-out \
		--n-samples 40 --corrupt-threshold 0.2

test: lint
	$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-dev $(TYPED_LINKS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=$(VENV)/typed $(BIN)/mypy

$(TYPED)/flows $(TYPED)/tasks:
	mkdir -p $(TYPED)
	ln -sfn $(CURDIR)/$(@F) $@

$(TYPED)/%.py: flows/interactive/%.py
	mkdir -p $(TYPED)
	ln -sfn $(CURDIR)/$< $@

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Coreframe needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) data/demo data/demo-store data/demo-out
