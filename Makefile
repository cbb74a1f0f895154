# Everything a newcomer needs is `make demo`, `make web` and `make test`: python3, make and a package index will do.
# Another Python or Django: make test VENV=.venv-61 PYTHON=python3.13 DJANGO='Django~=6.1.0'

VENV   ?= .venv
PYTHON ?= python3
DJANGO ?=
ARGS   ?=

python := $(VENV)/bin/python
pip    := $(python) -m pip --disable-pip-version-check -qq

.DEFAULT_GOAL := help
.PHONY: help demo web screenshots bench bench-quick test torture coverage lint types migrations messages check clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/test.stamp ## Queue some 500 mails, deliver them to a local SMTP server, show what became of them
	$(python) demo/run.py

web: $(VENV)/test.stamp ## Look at the demo's mails in the admin: http://127.0.0.1:8000/admin/ (demo, demo)
	@test -f demo/demo.sqlite3 || { echo "There is nothing to look at yet: run make demo first."; exit 1; }
	$(python) demo/manage.py runserver 127.0.0.1:8000

screenshots: $(VENV)/test.stamp ## Make the pictures of the admin in docs/images anew (needs Chromium)
	$(python) docs/make_screenshots.py

bench: ## Measure everything and write docs/explanation/performance.md: some 20 minutes
	$(PYTHON) -m benchmarks all --write

bench-quick: ## Measure the most important in less than a minute
	$(PYTHON) -m benchmarks --quick

test: $(VENV)/test.stamp $(VENV)/mysqlclient.stamp ## Run the tests on SQLite, and on PostgreSQL and MariaDB where they answer (ARGS: for pytest)
	$(python) -m tests $(ARGS)

torture: $(VENV)/test.stamp $(VENV)/mysqlclient.stamp ## Make sure at full size that no mail is lost or sent twice, whatever happens, and write it down
	$(python) -m tests.torture $(ARGS)

# By the tests of parts alone: what only a test with real processes reaches is not proved, but happened to run.
# But for the one thing that only the first process of a container does.
as_first_process := tests/acceptance/test_dispatcher.py::test_as_the_first_process_of_a_container_it_reaps_orphans_and_leaves_in_order

coverage: $(VENV)/test.stamp $(VENV)/mysqlclient.stamp ## Say which branches of queue/ and delivery/ no test takes, on all databases together
	$(python) -m coverage erase
	$(python) -m coverage run -m tests --numprocesses=auto --dist=loadfile \
		tests/unit tests/integration tests/contract $(as_first_process) $(ARGS)
	$(python) -m coverage combine --quiet
	$(python) -m coverage report

lint: $(VENV)/dev.stamp ## Look for mistakes and for another layout (ruff)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/dev.stamp ## Check the types (mypy)
	$(VENV)/bin/mypy

migrations: $(VENV)/test.stamp ## Make sure that no migration is missing
	$(python) -m django makemigrations --check --dry-run --settings tests.settings

messages: $(VENV)/test.stamp ## Bring the catalogues of texts up to date, to be translated (needs gettext)
	cd post_office && PYTHONPATH=$(CURDIR) DJANGO_SETTINGS_MODULE=tests.settings $(abspath $(VENV))/bin/django-admin \
		makemessages --all --add-location file --no-wrap
	sed -i '/^"POT-Creation-Date/d; /^"Report-Msgid-Bugs-To/d' post_office/locale/*/LC_MESSAGES/django.po
	cd post_office && PYTHONPATH=$(CURDIR) DJANGO_SETTINGS_MODULE=tests.settings $(abspath $(VENV))/bin/django-admin \
		compilemessages

check: lint types migrations test ## All of these

clean: ## Remove the environments, the caches, builds and what the demo made
	rm -rf .venv* .ci/venvs .tox build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis tests/conformance/.cache .coverage*
	rm -rf demo/demo.sqlite3* demo/demo.log demo/media demo/outbox benchmarks/.cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp says that the environment has what the target needs. It is renewed when pyproject.toml changes.

$(VENV)/test.stamp: pyproject.toml
	test -x $(python) || $(PYTHON) -m venv $(VENV)
	$(pip) install --editable '.[test]' $(DJANGO:%='%')
	touch $@

$(VENV)/dev.stamp: $(VENV)/test.stamp
	$(pip) install --editable '.[test,dev]' $(DJANGO:%='%')
	touch $@

# The MariaDB driver is compiled here, with a C library that not everybody has. Without it the tests on MariaDB are
# left out, or fail if REQUIRE_SERVICES=1; each run tries again.
$(VENV)/mysqlclient.stamp: $(VENV)/test.stamp
	@if $(pip) install 'mysqlclient>=2.2.1' > $(VENV)/mysqlclient.log 2>&1; then touch $@; else \
		echo "mysqlclient cannot be installed, see $(VENV)/mysqlclient.log."; \
		echo "It needs a C compiler, Python's headers and on Debian: apt-get install libmariadb-dev pkg-config"; fi
