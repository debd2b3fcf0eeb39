"""Airflow's side: what turns a run's context into a request, and a result into XCom or an error."""
