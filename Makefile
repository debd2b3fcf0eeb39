# `make` alone lists the targets. Everything a target needs it installs itself.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
# What fails soonest comes first; the last one takes the testbed down.
TESTS := $(addprefix tests/,unit dags plugins docs integration stream2raw e2e demo lifecycle)
UV_VERSION := 0.13.9
export PYTHONPATH := $(CURDIR)/include:$(CURDIR)
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup demo matrix down test lint types contracts unit up status test-long docs screenshots bench-alerts format requirements

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

setup: .venv/installed  ## make the virtual environment

.venv/installed: requirements-dev.txt
	@command -v uv >/dev/null || python3 -m pip install --quiet --root-user-action=ignore uv==$(UV_VERSION)
	test -x $(PYTHON) || uv venv --quiet --python 3.11 .venv
	uv pip sync --quiet --python $(PYTHON) --require-hashes requirements-dev.txt
	@touch $@

demo: setup  ## run the main job: testbed, Airflow, alerts, fink_deploy; RELEASE=2.4_3.1.3 another Spark
	$(PYTHON) -m testbed.demo $(if $(RELEASE),--release $(RELEASE))

down: setup  ## stop what `make demo` left running
	$(PYTHON) -m testbed.demo --down
	$(PYTHON) -m testbed down

matrix: setup  ## which Fink runs on which Spark and Kubernetes; KUBERNETES=1.30 the verdicts on one
	@$(PYTHON) -m docs.matrix $(if $(KUBERNETES),--kubernetes $(KUBERNETES))

up: setup  ## bring up the testbed alone
	$(PYTHON) -m testbed up

status: setup  ## show the testbed's parts
	$(PYTHON) -m testbed status

lint: setup  ## formatting, lint, shell scripts, Dockerfiles
	ruff format --check .
	ruff check .
	shellcheck include/image/*.sh .ci/run
	hadolint --ignore DL3006 include/image/*/Dockerfile testbed/images/*/Dockerfile

types: setup  ## mypy, strict
	mypy

contracts: setup  ## the direction of imports
	lint-imports

unit: setup  ## tests that need no testbed
	pytest -q tests -m "not testbed and not e2e and not spark"

test: lint types contracts  ## all tests, on a testbed that it brings up
	$(PYTHON) -m testbed up
	$(PYTHON) -m testbed.run pytest $(TESTS)

test-long: setup  ## the long matrices: releases, stores, Compose; results in docs/long-tests.md
	$(PYTHON) -m testbed up
	$(PYTHON) -m testbed.run pytest tests/long

docs: setup  ## write the pages that come from the code
	$(PYTHON) -m docs.generate

screenshots: setup  ## take README's pictures from the running demo
	test -x /usr/bin/chromium || apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core
	$(PYTHON) -m testbed.screenshots

bench-alerts: setup  ## how fast alerts reach Kafka, ours and fastavro side by side
	$(PYTHON) -m testbed up
	$(PYTHON) -m benchmarks.alert_source

format: setup  ## mend formatting and what lint can mend
	ruff format .
	ruff check --fix .

requirements: setup  ## compile requirements*.txt anew, exact and with hashes
	for name in requirements requirements-dev; do \
	  uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header \
	    --python-version 3.11 $$name.in -o $$name.txt; \
	done
