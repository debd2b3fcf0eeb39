"""I/O without Airflow: one module for each outside system."""
