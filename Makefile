# The Python that the virtual environment is made from; 3.11 or newer.
PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint format types clean
# Two installs into one environment must not run at once, whatever -j says.
.NOTPARALLEL:

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-examples  ## Run the quick-start example
	$(BIN)/python examples/quickstart.py

test: $(VENV)/.installed-test  ## Run the tests, without the slow ones
	$(BIN)/python -m pytest -n logical -m "not slow"

test-all: $(VENV)/.installed-test  ## Run every test
	$(BIN)/python -m pytest -n logical

lint: $(VENV)/.installed-dev  ## Check style, formatting and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.installed-dev  ## Reformat the code and fix what can be fixed
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

types: $(VENV)/.installed-dev  ## Check types only
	$(BIN)/mypy

clean:  ## Remove the virtual environment, the caches and the built files
	rm -rf $(VENV) build dist docs/_build .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch goes first and by its exact version, so that pip takes the build (CPU, CUDA) that it is
# configured for; nothing installed later replaces it.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install "$$(grep '^torch==' constraints.txt)"
	touch $@

# One stamp for each extra: .installed-test, .installed-examples, .installed-dev.
$(VENV)/.installed-%: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) install -c constraints.txt -e ".[$*]"
	touch $@
