# The commands of this repository: `make` lists them. They need Python 3.10 or newer.

PYTHON ?= python3
VENV ?= .venv
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet

# Runs the demo with another Python, which has the package installed: see .ci/run.
DEMO_PYTHON ?=

# How many runs of the state machine: each has 50 steps, such as a save or a crash.
SOAK_EXAMPLES ?= 20000

# Settings of the admin's themes, each for a process of its own.
THEMES ?= django jazzmin unfold grappelli

# Those of the translations, beside English.
LANGUAGES = de es fr ja

.PHONY: help demo serve test test-shops test-browser test-browser-61 test-themes \
    test-versions test-faults losses soak bench bench-admin bench-commands lint audit \
    dist messages docs docs-serve clean

help:
	@echo "make demo    a day of the example shop, from first order to backfill"
	@echo "make serve   the example shop, left running to click through"
	@echo "make test    all tests that need no server"
	@echo "make test-shops      the integrations with real shops, such as django-oscar"
	@echo "make test-browser    the example shop and the admin in a real browser;"
	@echo "                     Debian has it: apt-get install chromium"
	@echo "make test-browser-61 the layout of the admin of Django 6.1, in the same browser;"
	@echo "                     it needs Python 3.12 or newer"
	@echo "make test-themes     the admin's buttons under each theme, in the same browser"
	@echo "make lint    style, types, import contracts and migrations"
	@echo "make audit   known vulnerabilities in the dependencies, and in this code"
	@echo "make dist    the wheel and the source archive, in dist"
	@echo "make docs    the documentation as a site; make docs-serve shows it at port 8030"
	@echo "make messages  collect the translatable texts, compile the translations, and"
	@echo "               count the texts that are not translated yet"
	@echo "make clean   delete the environment, builds and caches"
	@echo
	@echo "With PostgreSQL, MariaDB, Redis and RabbitMQ, which these start by themselves"
	@echo "unless DATABASE_URL and CELERY_BROKER_URL name some:"
	@echo "make test-versions   the tests with each Python, Django, Celery and database;"
	@echo "                     VERSIONS=\"-e py312-django60-celery55-sqlite\" for others"
	@echo "make test-faults     killed workers, lost messages, cut connections"
	@echo "make losses          the faults, here and in what shops write by hand;"
	@echo "                     LOSSES=\"-k broker_loses\" for some of them"
	@echo "make soak            20,000 orders and random faults, and a million steps"
	@echo "                     of the state machine; SOAK_ORDERS=N SOAK_EXAMPLES=N"
	@echo "make bench           the speed, here and of what shops write by hand;"
	@echo "                     BENCH=\"backlog --rounds 5\", or BENCH=--help"
	@echo "make bench-admin     the speed of the admin, with a million orders;"
	@echo "                     BENCH=--quick to see that it works"
	@echo "make bench-commands  the speed of the commands, with a million orders;"
	@echo "                     BENCH=--quick to see that all of it works"

ifeq ($(DEMO_PYTHON),)
demo serve: DEMO_PYTHON = $(VENV)/bin/python
demo serve: $(VENV)/has-example
endif

demo:
	$(DEMO_PYTHON) example_project/demo.py

serve:
	$(DEMO_PYTHON) example_project/demo.py --serve

test: $(VENV)/has-test
	$(VENV)/bin/python -m pytest -n auto --dist worksteal $(TESTS)

# The recipes need Python 3.11, as dj-stripe does. More processes would take longer:
# each creates the tables of Wagtail and dj-stripe.
test-shops: $(VENV)/has-test $(VENV)/has-oscar $(VENV)/has-recipes
	$(VENV)/bin/python -m pytest -n auto tests/oscar --ds=tests.oscar.settings $(TESTS)
	$(VENV)/bin/python -m pytest tests/oscar_forked --ds=tests.oscar_forked.settings $(TESTS)
	$(VENV)/bin/python -m pytest tests/recipes --ds=tests.recipes.settings $(TESTS)

# SCREENSHOTS=1 also takes the documentation's screenshots anew.
test-browser: $(VENV)/has-test $(VENV)/has-example $(VENV)/has-browser
	$(VENV)/bin/python -m pytest -m browser tests/browser $(TESTS)

# Django 6.1 needs Python 3.12, without which this fails.
test-browser-61: $(VENV)/has-test $(VENV)/has-versions
	$(VENV)/bin/python -m tests.versions --browser

test-themes: $(VENV)/has-test $(VENV)/has-browser $(VENV)/has-themes
	@for theme in $(THEMES); do \
	    echo "$$theme"; \
	    $(VENV)/bin/python -m pytest -q -n 2 -m browser tests/themes \
	        --ds=tests.themes.settings.$$theme $(TESTS) || exit 1; \
	done

test-versions: $(VENV)/has-versions $(VENV)/has-test $(VENV)/has-services
	$(VENV)/bin/python -m tests.versions $(VERSIONS)

test-faults: $(VENV)/has-test $(VENV)/has-services
	$(VENV)/bin/python -m tests.faults.run

losses: $(VENV)/has-test $(VENV)/has-services
	$(VENV)/bin/python -m tests.faults.run -m losses $(LOSSES)

soak: $(VENV)/has-test $(VENV)/has-services
	HYPOTHESIS_EXAMPLES=$(SOAK_EXAMPLES) \
	    $(VENV)/bin/python -m pytest tests/test_state_machine.py
	$(VENV)/bin/python -m tests.faults.run -m soak -n 2

bench: $(VENV)/has-example $(VENV)/has-services $(VENV)/has-bench
	$(VENV)/bin/python -m benchmarks.run $(BENCH)

bench-admin: $(VENV)/has-example $(VENV)/has-services $(VENV)/has-bench
	$(VENV)/bin/python -m benchmarks.run admin $(BENCH)

bench-commands: $(VENV)/has-example $(VENV)/has-services $(VENV)/has-bench
	$(VENV)/bin/python -m benchmarks.run --commands $(BENCH)

lint: $(VENV)/has-lint $(VENV)/has-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python -m django makemigrations --check --dry-run \
	    --settings tests.settings django_button_orders

# Ruff checks the skipped rules (asserts, SQL, random numbers, passwords), and the code
# says for each exception why it is safe.
audit: $(VENV)/has-lint $(VENV)/has-test
	$(VENV)/bin/bandit --quiet --recursive --skip B101,B105,B311,B608 django_button_orders
	$(VENV)/bin/pip-audit --skip-editable --progress-spinner off

# What goes to the package index. Until then, `pip install dist/*.whl` installs it.
dist: $(VENV)/has-lint
	rm -rf dist
	$(VENV)/bin/python -m build --outdir dist .
	$(VENV)/bin/python -m twine check --strict dist/*

# Warnings are errors, and so is a reference to something that does not exist. `make
# test` runs the code on the pages.
docs: $(VENV)/has-docs $(VENV)/has-test
	$(VENV)/bin/sphinx-lint docs README.rst CHANGELOG.rst CONTRIBUTING.rst SECURITY.rst
	$(VENV)/bin/python -m sphinx -W -n --keep-going -q -b html docs build/docs
	@echo "The site is in build/docs/index.html."

docs-serve: docs
	$(VENV)/bin/python -m http.server --bind 127.0.0.1 --directory build/docs 8030

# Needs gettext.
messages: $(VENV)/has-test
	$(VENV)/bin/python -m django makemessages --settings tests.settings \
	    $(LANGUAGES:%=-l %) --no-obsolete --add-location file --ignore "tests/*" \
	    --ignore "example_project/*" --ignore "benchmarks/*" --ignore "$(VENV)/*"
	cd django_button_orders && ../$(VENV)/bin/django-admin compilemessages
	@for language in $(LANGUAGES); do printf '%s: ' $$language; \
	    msgfmt --statistics -o /dev/null \
	    django_button_orders/locale/$$language/LC_MESSAGES/django.po; done

# All commands share one environment. The first command that needs an extra installs it.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) || ( \
	    $(PYTHON) -m pip install --quiet virtualenv && \
	    $(PYTHON) -m virtualenv --quiet $(VENV) )
	$(PIP) --upgrade pip

$(VENV)/has-%: $(VENV)/bin/python setup.cfg pyproject.toml
	$(PIP) --editable ".[$*]"
	@touch $@

clean:
	rm -rf $(VENV) .tox build dist *.egg-info .coverage* .mypy_cache .ruff_cache \
	    .pytest_cache .import_linter_cache
