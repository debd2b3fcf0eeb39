"""Pages of this project inside Airflow's web server, behind Airflow's login; for reading only.

Airflow mounts a plugin's application without guarding it, so each of its routes asks for the right
to read DAGs.
"""
