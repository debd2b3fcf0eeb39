#!/bin/bash
# As the official image: shells and Python as they are, `celery` by Airflow, the rest is Airflow's.
set -euo pipefail
case "${1:-}" in
  bash | python | airflow) exec "$@" ;;
  *) exec airflow "$@" ;;
esac
