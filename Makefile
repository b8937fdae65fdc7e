# The commands of this repository. They need Python 3.10 or newer, pip and make.

PYTHON ?= python3
VENV ?= .venv
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet

# Set it to run the demo with a Python that has the package already.
DEMO_PYTHON ?=

.PHONY: help demo serve test lint clean

help:
	@echo "make demo    a day of the example shop, from first order to backfill"
	@echo "make serve   the example shop, left running to click through"
	@echo "make test    the whole test suite, without any server"
	@echo "make lint    style, types, import contracts and migrations"
	@echo "make clean   remove what the above have made"

ifeq ($(DEMO_PYTHON),)
demo serve: DEMO_PYTHON = $(VENV)/bin/python
demo serve: $(VENV)/has-example
endif

demo:
	$(DEMO_PYTHON) example_project/demo.py

serve:
	$(DEMO_PYTHON) example_project/demo.py --serve

test: $(VENV)/has-test
	$(VENV)/bin/python -m pytest $(TESTS)

lint: $(VENV)/has-lint $(VENV)/has-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python -m django makemigrations --check --dry-run \
	    --settings tests.settings django_button_orders

# One environment for all; each extra is installed when it is first needed.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) || ( \
	    $(PYTHON) -m pip install --quiet virtualenv && \
	    $(PYTHON) -m virtualenv --quiet $(VENV) )
	$(PIP) --upgrade pip

$(VENV)/has-%: $(VENV)/bin/python setup.cfg pyproject.toml
	$(PIP) --editable ".[$*]"
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage* .mypy_cache .ruff_cache \
	    .pytest_cache .import_linter_cache
