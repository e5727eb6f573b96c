# `make demo` and `make test` are the whole set-up: each installs what is missing, then runs.
#   make PYTHON=/usr/bin/python3.12 test     another Python
#   make VENV=.venv-pypy PYTHON=pypy3 test   another virtual environment beside the first

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 100000
SECONDS ?= 30
# The tests mostly wait for daemons. What shares a cluster stays with one worker.
WORKERS ?= 4
# setuptools warns of every editable installation in a checkout, with ten lines.
INSTALL = PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet
BUILT_FROM := pyproject.toml setup.py slurmpy/_build_ffi.py $(wildcard cdefs/*)

.PHONY: demo test matrix lint types docs bench fuzz memcheck build clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(BIN)/python -m slurmpy demo

test: lint types docs
	$(BIN)/pytest -m 'not long' --numprocesses=$(WORKERS) --dist=loadscope \
		--junitxml=.nox/tests.xml $(PYTEST_ARGS)

# Every Slurm and every Python; the trees for it take root.
matrix: $(VENV)/.dev
	tools/install-slurm $(PYTHON) accounting matrix
	$(BIN)/nox -s matrix -- $(MATRIX)

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.dev
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_build/html

bench: $(VENV)/.dev
	$(BIN)/nox -s bench -- --jobs $(JOBS)

fuzz: $(VENV)/.dev
	$(BIN)/nox -s fuzz -- --seconds $(SECONDS)

memcheck: $(VENV)/.dev
	tools/install-slurm $(PYTHON) memcheck
	$(BIN)/nox -s memcheck

build: $(VENV)/.dev
	$(BIN)/python -m build --outdir dist

clean:
	rm -rf $(VENV) .nox build dist docs/_build docs/generated *.egg-info slurmpy/_slurm.c \
		slurmpy/_slurm.*.so .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: $(BUILT_FROM)
	tools/install-slurm $(PYTHON)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade 'pip>=25.1'
	$(INSTALL) --editable .
	touch $@

# The demo does without what accounting takes; the tests do not.
$(VENV)/.dev: $(VENV)/.installed tools/install-slurm
	@echo "Installing what development takes: some minutes where nothing of it is there"
	tools/install-slurm $(PYTHON) accounting
	$(INSTALL) --group dev
	touch $@
