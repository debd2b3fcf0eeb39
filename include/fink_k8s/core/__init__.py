"""Pure rules and values: no I/O, no Airflow, no client libraries."""
