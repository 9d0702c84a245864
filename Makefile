# `make demo` and `make test` each work as the first command in a fresh clone on Debian or Ubuntu with Python 3.11
# or newer; PYTHON=... names another interpreter than the first one on the PATH.

SHELL := /bin/bash
PYTHON ?=
READY := .venv/.ready$(subst /,_,$(PYTHON))
RUN := .venv/bin/python -m

# The real servers, where tests/servers/install.sh had to download them.
export PATH := $(PATH):$(CURDIR)/.tools/bin

.PHONY: help demo test test-lowest test-newest test-pre test-pythons lint bench clean

help:
	@echo "make demo    all ten types of test, recorded, summarised and sent to the sidecar"
	@echo "make test    the project's own tests"
	@echo "make test-lowest, test-newest, test-pre   those of the plugin with other versions of what it depends on"
	@echo "make test-pythons    the same with Python 3.11 to 3.15; as root, missing ones come from Debian's next release"
	@echo "make lint    formatting, lint, types, layers"
	@echo "make bench   what the plugin costs, as ratios"
	@echo "make clean   removes everything that make has made"

demo: $(READY)
	@.venv/bin/python examples/demo.py

test: $(READY)
	@tests/servers/install.sh
	@$(RUN) tests.servers.npm
	@$(RUN) tests.servers.pypi
	$(RUN) pytest -n logical

test-lowest test-newest test-pre: test-%: $(READY)
	@tests/versions/run.sh $*

test-pythons: $(READY)
	@set -e; for version in 3.11 3.12 3.13 3.14 3.15; do echo "Python $$version"; tests/versions/run.sh python $$version; done

lint: $(READY)
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) mypy --platform win32 pytest_sergas
	$(RUN) mypy --platform darwin pytest_sergas
	.venv/bin/lint-imports

bench: $(READY)
	@$(RUN) pip install --quiet --group bench
	$(RUN) pytest -s -p no:cacheprovider tests/benchmarks/bench_*.py

clean:
	rm -rf .venv .tools build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(READY): pyproject.toml .ci/setup
	@.ci/setup $(PYTHON)
	@touch $@
