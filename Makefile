# `make` alone lists the targets. Each target installs what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
# The tests that use the cluster run in one process, in this order, because the last one takes the
# testbed down. The other tests run in a second process in parallel.
TESTS := $(addprefix tests/,integration e2e demo lifecycle stream2raw unit dags plugins docs)
UV_VERSION := 0.13.9
export PYTHONPATH := $(CURDIR)/include:$(CURDIR)
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup demo matrix down up doctor secrets testbed test lint types contracts unit status test-long docs screenshots bench-alerts bench-watch format requirements

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

setup: .venv/installed  ## create the virtual environment

.venv/installed: requirements-dev.txt
	@command -v uv >/dev/null || python3 -m pip install --quiet --root-user-action=ignore uv==$(UV_VERSION)
	test -x $(PYTHON) || uv venv --quiet --python 3.11 .venv
	uv pip sync --quiet --python $(PYTHON) --require-hashes requirements-dev.txt
	@touch $@

demo: setup  ## start testbed and Airflow, send alerts, run fink_deploy; RELEASE=2.4_3.1.3 for another Spark
	$(PYTHON) -m testbed.demo $(if $(RELEASE),--release $(RELEASE))

down:  ## stop what `make up`, `make demo` or `make testbed` started; data volumes stay
	@if test -n "$$(docker ps --quiet --filter label=com.docker.compose.project=fink-k8s 2>/dev/null)"; then \
	  docker compose --profile '*' down --remove-orphans; fi
	@if test -x $(PYTHON); then $(PYTHON) -m testbed.demo --down; $(PYTHON) -m testbed down; fi

matrix: setup  ## show which Fink runs on which Spark and Kubernetes; KUBERNETES=1.30 for one version
	@$(PYTHON) -m docs.matrix $(if $(KUBERNETES),--kubernetes $(KUBERNETES))

secrets:  ## create .env, and fill each empty secret in it with a random value
	@test -f .env || install -m 600 .env.example .env
	@for name in $$(sed -nE '/^# Secrets, without default/,/^$$/s/^([A-Z_]+)=$$/\1/p' .env.example); do \
	  grep -qx "$$name=" .env || continue; \
	  bytes=48; case $$name in *FERNET_KEY) bytes=32;; esac; \
	  value=$$(head -c $$bytes /dev/urandom | base64 -w 0 | tr '+/' '-_'); \
	  sed -i "s|^$$name=$$|$$name=$$value|" .env; echo "$$name: made"; \
	done; echo "Next: fill in the rest of .env, then run \`make up\` and \`make doctor\`"

up:  ## start Airflow for a team with docker-compose.yaml, and wait until it is healthy
	docker compose up --build --detach --wait --wait-timeout 600
	@echo "Airflow is up at http://$$(docker compose port api-server 8080), user admin;" \
	  "its password is AIRFLOW_ADMIN_PASSWORD in .env. Next: make doctor"

doctor:  ## show what that Airflow lacks, and how to fix it
	@where=$$(docker compose --profile '*' ps --services --filter status=running | grep -xE 'worker|scheduler' | tail -1); \
	test -n "$$where" || { echo "missing  Airflow: no scheduler and no worker is running"; \
	  echo "         fix it: make up"; exit 1; }; \
	docker compose --profile '*' exec --no-TTY "$$where" python /opt/airflow/include/fink_k8s/doctor.py

testbed: setup  ## start only the testbed
	$(PYTHON) -m testbed up

status: setup  ## show the state of the testbed's parts
	$(PYTHON) -m testbed status

lint: setup  ## check formatting, lint, shell scripts and Dockerfiles
	ruff format --check .
	ruff check .
	shellcheck include/image/*.sh testbed/images/*/*.sh .ci/run
	hadolint --ignore DL3006 Dockerfile include/image/*/Dockerfile testbed/images/*/Dockerfile

types: setup  ## check types (mypy, strict)
	mypy

contracts: setup  ## check the direction of imports
	lint-imports

unit: setup  ## run the tests that need no testbed
	pytest -q tests -m "not testbed and not e2e and not spark"

test: setup /usr/bin/chromium  ## run all tests, on a testbed that it starts
	$(MAKE) --no-print-directory --jobs=2 --output-sync=line lint types contracts testbed
	$(PYTHON) -m testbed.run pytest --numprocesses 2 --no-loadscope-reorder \
	  --durations 30 --durations-min 10 $(TESTS)

test-long: setup /usr/bin/chromium  ## run the slow tests: releases, stores, Compose; writes docs/long-tests.md
	$(PYTHON) -m testbed up
	$(PYTHON) -m testbed.run pytest tests/long

docs: setup  ## write the pages that are generated from the code
	$(PYTHON) -m docs.generate

/usr/bin/chromium:
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core

screenshots: setup /usr/bin/chromium  ## take the pictures for README and docs from the running demo
	$(PYTHON) -m testbed.screenshots

bench-alerts: setup  ## measure how fast alerts reach Kafka, compared with fastavro
	$(PYTHON) -m testbed up
	$(PYTHON) -m benchmarks.alert_source

bench-watch: setup  ## measure the cost and delay of watching, compared with the provider
	$(PYTHON) -m testbed up
	$(PYTHON) -m testbed.run $(PYTHON) -m benchmarks.watch

format: setup  ## fix formatting and what lint can fix
	ruff format .
	ruff check --fix .

requirements: setup  ## compile requirements*.txt again, pinned and with hashes
	for name in requirements requirements-dev; do \
	  uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header \
	    --python-version 3.11 $$name.in -o $$name.txt; \
	done
