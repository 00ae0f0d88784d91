# Every target sets up what it needs on a fresh machine: python3.11 or newer, make, pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CORPUS ?=
SPEECH ?=
BENCH ?=
export TOKENIZERS_PARALLELISM = false

.PHONY: setup demo embedded test test-slow check bench docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt src/loradar/__init__.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Loradar needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs,onnx]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[copies]' \
		|| echo "pyworld could not be built (it needs a C++ compiler): WORLD attacks and their tests are skipped"
	touch $@

demo: setup
	$(BIN)/loradar demo -o runs/demo $(if $(CORPUS),--corpus '$(CORPUS)')

# Hours on a CPU; skips what is complete and goes on where it was stopped (docs/embedded.md).
embedded: setup
	BIN=$(BIN) SPEECH='$(SPEECH)' CLONES='$(CLONES)' tools/make_embedded.sh

# A process of one thread for each core; the tests of a file share one, and with it their fixtures.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

test-slow: setup
	$(BIN)/python -m pytest -m slow

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: setup
	$(BIN)/python benchmarks/run.py $(BENCH)

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf site .pytest_cache .mypy_cache .ruff_cache
